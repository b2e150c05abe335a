"""Rows that are over, in a user's name, and what is left of them."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import connection

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
RETENTION = 30 * DAY


def make(user, times, **fields):
    rows = [
        UserSessionFactory.build(user=user, created_at=at - DAY, **{"expires_at": at, **fields})
        for at in times
    ]
    return UserSession.objects.bulk_create(rows, batch_size=500)


def expired(user, count, step=TICK):
    return make(user, [NOW - DAY - number * step for number in range(count)])


def revoked(user, times, **fields):
    rows = [
        UserSessionFactory.build(
            user=user, revoked=True, revoked_at=at, **{"expires_at": NOW + DAY, "created_at": at, **fields}
        )
        for at in times
    ]
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
