from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User

from sessions_ext.admin import UserSessionInline

admin.site.unregister(User)


@admin.register(User)
class UserWithSessionsAdmin(UserAdmin):  # type: ignore[type-arg]
    inlines = (*UserAdmin.inlines, UserSessionInline)
