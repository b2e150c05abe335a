"""Cleanup as a task of Django's own framework, for a project with a task backend and a scheduler."""

from typing import Any

import django

if django.VERSION >= (6, 0):
    from django.tasks import task

    from .models import UserSession

    @task
    def cleanup_sessions(database: str | None = None, **options: Any) -> dict[str, Any]:
        """UserSession.objects.cleanup() with those of its arguments that JSON can carry."""
        cleaned = UserSession.objects.db_manager(database).cleanup(**options)
        return dict(cleaned._asdict())
else:

    def __getattr__(name: str) -> Any:
        if name == "cleanup_sessions":
            raise ImportError(
                "sessions_ext.tasks.cleanup_sessions needs django.tasks, which came with Django 6.0."
                " Call UserSession.objects.cleanup() from a task of your own instead."
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
