"""The command cleanup_sessions, called within the process of the tests, and rows for it."""

from io import StringIO

from django.core.management import call_command

from sessions_ext.testing import UserSessionFactory
from tests.cleanup.rows import DAY, NOW, RETENTION


def expiring(at, user, **fields):
    return UserSessionFactory(user=user, created_at=at - DAY, expires_at=at, **fields)


def revoked(at, user, **fields):
    return expiring(fields.pop("expires_at", NOW + DAY), user, revoked=True, revoked_at=at, **fields)


def run(**options):
    out = StringIO()
    call_command("cleanup_sessions", stdout=out, **options)
    return out.getvalue().strip()


def dead(user, count=5):
    for number in range(count):
        expiring(NOW - (1 + number) * DAY, user)
        revoked(NOW - RETENTION - (1 + number) * DAY, user)
