"""Tasks for Django's own task framework (Django 6.0)."""

from dataclasses import asdict
from typing import Any

import django

if django.VERSION >= (6, 0):
    from django.tasks import task

    from . import new_device
    from .models import UserSession

    @task
    def cleanup_sessions(database: str | None = None, **options: Any) -> dict[str, Any]:
        """UserSession.objects.cleanup() with those of its arguments that JSON can carry."""
        return asdict(UserSession.objects.db_manager(database).cleanup(**options))

    @task
    def send_new_device_email(subject: str, text: str, html: str, address: str) -> None:
        new_device.send(subject, text, html, address)

else:

    def __getattr__(name: str) -> Any:
        if name == "cleanup_sessions":
            raise ImportError(
                "sessions_ext.tasks.cleanup_sessions needs django.tasks, which came with Django 6.0."
                " Call UserSession.objects.cleanup() from a task of your own instead."
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
