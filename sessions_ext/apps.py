from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _


class SessionsExtConfig(AppConfig):
    name = "sessions_ext"
    verbose_name = _("Sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401

        if apps.is_installed("django.contrib.auth"):
            from . import receivers

            receivers.connect()
