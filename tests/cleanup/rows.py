"""Rows that are over, in a user's name, and what is left of them."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models.signals import post_delete

from sessions_ext.models import UserSession
from tests.copies import build_many

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
RETENTION = 30 * DAY


def make(user, times, **fields):
    rows = build_many(len(times), user=user, **fields)
    for row, at in zip(rows, times, strict=True):
        row.created_at = row.last_activity_at = at - DAY
        row.expires_at = at
    return UserSession.objects.bulk_create(rows, batch_size=500)


def expired(user, count, step=TICK):
    return make(user, [NOW - DAY - number * step for number in range(count)])


def revoked(user, times, **fields):
    rows = build_many(len(times), user=user, revoked=True, **{"expires_at": NOW + DAY, **fields})
    for row, at in zip(rows, times, strict=True):
        row.created_at = row.last_activity_at = row.revoked_at = at
    return UserSession.objects.bulk_create(rows, batch_size=500)


def left():
    return set(UserSession.objects.all())


@contextmanager
def deletes():
    """Collects the number of rows that each DELETE took."""
    sizes = []

    def count(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("DELETE"):
            sizes.append(context["cursor"].rowcount)
        return result

    with connection.execute_wrapper(count):
        yield sizes


@contextmanager
def told_of(sender):
    """Collects the keys that a project's receiver of post_delete is told."""
    keys = []

    def receive(sender, instance, **kwargs):
        keys.append(instance.pk)

    post_delete.connect(receive, sender=sender)
    try:
        yield keys
    finally:
        post_delete.disconnect(receive, sender=sender)
