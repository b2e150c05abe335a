from django.apps import AppConfig, apps
from django.conf import settings
from django.utils.translation import pgettext_lazy


class SessionsExtConfig(AppConfig):
    name = "sessions_ext"
    # With a context: django.contrib.sessions has the same name, and an earlier app's text would win.
    verbose_name = pgettext_lazy("signed-in devices", "Sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401

        if apps.is_installed("django.contrib.auth"):
            from . import receivers

            receivers.connect()
        if apps.is_installed("channels") or getattr(settings, "CHANNEL_LAYERS", None):
            from . import channels

            channels.connect()
