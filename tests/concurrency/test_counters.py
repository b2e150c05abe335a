"""Counters on one row lose nothing to each other."""

import pytest

from sessions_ext.models import UserSession
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_concurrent_flags_and_providers_lose_nothing(user):
    session = UserSession.objects.start(user)

    def write(number):
        row = UserSession.objects.get(pk=session.pk)
        row.record_provider_access(f"provider {number}")
        return row.flag_suspicious("test", number=number)

    counts = at_once([lambda number=number: write(number) for number in range(32)])
    session.refresh_from_db()
    assert sorted(counts) == list(range(1, 33))
    assert session.suspicious_activity_count == 32
    assert sorted(session.providers_accessed) == sorted(f"provider {number}" for number in range(32))


def test_concurrent_accesses_of_one_provider_are_listed_once(user):
    session = UserSession.objects.start(user)
    at_once([lambda: UserSession.objects.get(pk=session.pk).record_provider_access("mail")] * 32)
    session.refresh_from_db()
    assert session.providers_accessed == ["mail"]


def test_concurrent_flags_revoke_once_at_the_threshold(user, settings, revoked_ids):
    settings.SESSIONS_EXT = {"SUSPICION_THRESHOLD": 3}
    session = UserSession.objects.start(user)
    at_once([lambda: UserSession.objects.get(pk=session.pk).flag_suspicious("test")] * 16)
    session.refresh_from_db()
    assert (session.revoked_reason, session.suspicious_activity_count) == ("suspicious", 16)
    assert revoked_ids == [session.pk]
