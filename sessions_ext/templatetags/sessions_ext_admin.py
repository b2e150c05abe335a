from django import template

from sessions_ext.admin import display as admin_row

register = template.Library()
register.filter("when", admin_row.when)
register.filter("badge", admin_row.badge)
