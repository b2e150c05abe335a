from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SessionsExtConfig(AppConfig):
    name = "sessions_ext"
    verbose_name = _("Sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, receivers  # noqa: F401

        receivers.connect()
