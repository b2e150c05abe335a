"""Cleanup as a task of django.tasks."""

from datetime import timedelta

import django
import pytest
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory

HAS_TASKS = django.VERSION >= (6, 0)


@pytest.mark.skipif(HAS_TASKS, reason="Django has tasks")
def test_without_tasks_the_module_can_be_imported_and_says_what_is_missing():
    """Celery imports the module `tasks` of every app."""
    import sessions_ext.tasks as module

    assert not hasattr(module, "anything_else")
    with pytest.raises(ImportError, match=r"needs django\.tasks, which came with Django 6\.0"):
        from sessions_ext.tasks import cleanup_sessions  # noqa: F401


@pytest.mark.skipif(not HAS_TASKS, reason="Django has no tasks")
@pytest.mark.django_db
def test_the_task_deletes_and_returns_the_counts(user):
    from sessions_ext.tasks import cleanup_sessions

    now = timezone.now()
    for number in range(3):
        UserSessionFactory(user=user, expires_at=now - timedelta(days=1 + number))
    UserSessionFactory(user=user, revoked=True, revoked_at=now - timedelta(days=2))
    result = cleanup_sessions.enqueue(batch_size=1, max_rows=3, retention=24 * 3600)
    assert result.return_value == {"expired": 3, "revoked": 0, "is_complete": False, "payloads": 0}
    result = cleanup_sessions.enqueue(database="default", retention=24 * 3600)
    assert result.return_value == {"expired": 0, "revoked": 1, "is_complete": True, "payloads": 0}
    assert not UserSession.objects.exists()
