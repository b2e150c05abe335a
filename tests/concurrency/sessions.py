"""Rows of one user, and settings that limit them."""

import random
from datetime import timedelta

from django.utils import timezone

from sessions_ext.models import UserSession
from tests.copies import build_many

LIMIT = 5


def make_sessions(user, count, **fields):
    """Rows whose order in the table is not the order of their logins, nor of their ends."""
    now = timezone.now()
    sessions = build_many(count, user=user, **fields)
    for session in sessions:
        age = timedelta(seconds=random.randrange(3600))
        session.created_at, session.expires_at = session.created_at - age, session.expires_at - age
        session.last_activity_at = min(session.last_activity_at, now - timedelta(hours=1))
    return UserSession.objects.bulk_create(sessions)


def active(user):
    return UserSession.objects.for_user(user).active()


def limited(policy, limit=LIMIT):
    return {"MAX_SESSIONS": limit, "ON_LIMIT": policy}
