from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import pgettext_lazy


class SessionsExtConfig(AppConfig):
    name = "sessions_ext"
    # With a context: django.contrib.sessions has the same name, and an earlier app's text would win.
    verbose_name = pgettext_lazy("signed-in devices", "Sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, database_checks, events  # noqa: F401

        events.connect()
        if apps.is_installed("django.contrib.auth"):
            from . import receivers

            receivers.connect()
        if apps.is_installed("channels") or getattr(settings, "CHANNEL_LAYERS", None):
            from . import channels

            channels.connect()


def remember_last_login(sender: Any, user: Any, **kwargs: Any) -> None:
    """Keep on the user when they signed in last, before Django writes that it is now."""
    user._sessions_ext_last_login = getattr(user, "last_login", None)


# Here, since receivers are called in the order in which they were connected: Django's own is connected when
# its app is ready.
user_logged_in.connect(remember_last_login, dispatch_uid="sessions_ext.last_login")
