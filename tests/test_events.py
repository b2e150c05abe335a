"""The log records of what happens."""

import logging

import pytest
from django.test import RequestFactory

from sessions_ext import events, signals, tokens
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.testing import UserSessionFactory

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "203.0.113.77"


@pytest.fixture
def records(caplog):
    """What was logged: each record's event, and the record."""
    caplog.set_level(logging.INFO, "sessions_ext.events")
    return lambda: [(each.event, each) for each in caplog.records if each.name == "sessions_ext.events"]


def test_each_signal_has_its_record():
    assert sorted(events.FIELDS) == sorted(signals.__all__)


def test_a_login_and_its_end_are_told_with_public_ids(user, records):
    session = UserSession.objects.start(user, ip_address=ADDRESS)
    session.revoke("stolen")
    (started, first), (revoked, second) = records()
    assert (started, first.session_id, first.user_id) == ("session_started", str(session.pk), str(user.pk))
    assert (revoked, second.session_ids, second.user_ids, second.reason) == (
        "session_revoked",
        [str(session.pk)],
        [str(user.pk)],
        "stolen",
    )
    assert str(session.pk) in second.getMessage()


def test_a_reason_is_written_as_it_is_stored(user, records):
    UserSession.objects.start(user).revoke(RevokedReason.ADMIN)
    _, (_, record) = records()
    assert record.getMessage().endswith("reason='admin'")


def test_the_limit_is_told(user, records, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    first, _ = UserSession.objects.start(user), UserSession.objects.start(user)
    (record,) = [record for event, record in records() if event == "session_limit_reached"]
    assert (record.session_ids, record.limit, record.policy) == ([str(first.pk)], 1, "revoke_oldest")
    assert record.user_id == str(user.pk)


def test_a_flag_and_a_cleanup_are_told(user, records):
    UserSessionFactory(user=user).flag_suspicious("odd")
    UserSessionFactory(user=user, expired=True)
    UserSession.objects.cleanup()
    (flagged, flag), (cleaned, cleanup) = records()
    assert (flagged, flag.kind, flag.count) == ("session_flagged", "odd", 1)
    assert (cleaned, cleanup.expired, cleanup.is_complete) == ("sessions_cleaned", 1, True)


def test_no_record_holds_a_token_or_an_address(user, records, settings):
    """F10"""
    request = RequestFactory().post("/", REMOTE_ADDR=ADDRESS)
    pair = tokens.login(request, user, settings.AUTHENTICATION_BACKENDS[0])
    pair = tokens.refresh(pair.refresh_token, request)
    later = RequestFactory().post("/", REMOTE_ADDR="203.0.113.78")
    settings.SESSIONS_EXT = {"TOUCH_INTERVAL": 0}
    pair = tokens.refresh(pair.refresh_token, later)
    told = [(event, str(vars(record)) + record.getMessage()) for event, record in records()]
    assert [event for event, _ in told] == [
        "session_started",
        "refresh_token_used",
        "session_client_changed",
        "refresh_token_used",
    ]
    for _, text in told:
        assert "203.0.113" not in text
        assert pair.refresh_token not in text
        assert str(pair.session.refresh_token_id) not in text


def test_nothing_is_told_unless_it_is_asked_for(user, caplog):
    UserSession.objects.start(user)
    assert not [record for record in caplog.records if record.name == "sessions_ext.events"]
