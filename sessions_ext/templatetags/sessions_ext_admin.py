from django import template

from sessions_ext import admin_row

register = template.Library()
register.filter("when", admin_row.when)
register.filter("badge", admin_row.badge)
