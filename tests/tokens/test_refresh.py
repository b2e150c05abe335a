"""Refreshing, replays, and the grace window."""

import logging
from datetime import timedelta
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from sessions_ext import tokens
from sessions_ext.models import UserSession
from sessions_ext.signals import session_revoked
from sessions_ext.testing import UserFactory
from tests.interleaved import once_read
from tests.pairs import MODEL_BACKEND, are_refused, claims_of
from tests.tokens.logins import a_request, row_of, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


# Refreshing.


def test_a_refresh_replaces_the_pair(pair, later):
    later(1)
    following = tokens.refresh(pair.refresh_token)
    assert following.session.pk == pair.session.pk
    assert {following.access_token, following.refresh_token}.isdisjoint(
        {pair.access_token, pair.refresh_token}
    )
    row = row_of(pair)
    assert claims_of(following.refresh_token)["jti"] == str(row.refresh_token_id)
    assert row.previous_refresh_token_id == pair.session.refresh_token_id
    assert row.refreshed_at == timezone.now()
    assert tokens.verify(following.access_token)
    assert UserSession.objects.count() == 1


def test_a_refresh_moves_no_end(pair, later):
    ends = row_of(pair).expires_at
    later(3600)
    following = tokens.refresh(pair.refresh_token)
    assert row_of(pair).expires_at == ends
    assert claims_of(following.refresh_token)["exp"] == claims_of(pair.refresh_token)["exp"]


def test_a_refresh_is_activity_once_per_interval(pair, later):
    started = row_of(pair).last_activity_at
    later(0)
    request = a_request(REMOTE_ADDR="192.0.2.99")
    pair = tokens.refresh(pair.refresh_token, request)
    assert row_of(pair).last_activity_at == started
    later(60)
    tokens.refresh(pair.refresh_token, request)
    row = row_of(pair)
    assert (row.last_activity_at, row.last_ip_address) == (timezone.now(), "192.0.2.99")


def test_a_token_of_one_kind_is_not_taken_for_the_other(pair):
    assert tokens.verify(pair.refresh_token) is None
    assert tokens.refresh(pair.access_token) is None
    assert row_of(pair).is_active


def test_the_async_twins_do_the_same(user):
    pair = async_to_sync(tokens.alogin)(a_request(), user, MODEL_BACKEND)
    assert async_to_sync(tokens.averify)(pair.access_token).user == user
    following = async_to_sync(tokens.arefresh)(pair.refresh_token, a_request())
    assert row_of(pair).previous_refresh_token_id == UUID(claims_of(pair.refresh_token)["jti"])
    assert async_to_sync(tokens.averify)(following.access_token).pk == pair.session.pk
    assert async_to_sync(tokens.averify)("x") is async_to_sync(tokens.arefresh)("x") is None
    UserSession.objects.for_user(user).revoke("stolen")
    assert async_to_sync(tokens.averify)(following.access_token) is None
    assert async_to_sync(tokens.arefresh)(following.refresh_token) is None


@pytest.mark.django_db(transaction=True)
def test_a_verdict_of_before_a_key_rotation_is_for_the_database_to_judge(user, settings):
    """It holds the hash by the old key; the token that a server with the new one gave out does not."""
    settings.SESSIONS_EXT = {"CACHE": "default"}
    pair = sign_in(user)
    assert tokens.verify(pair.access_token)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
    following = tokens.refresh(pair.refresh_token)
    assert tokens.verify(following.access_token).user == user
    assert row_of(pair).is_active


# Replays, and the grace window.


def test_a_double_submit_gets_the_current_pair(pair):
    first = tokens.refresh(pair.refresh_token)
    again = tokens.refresh(pair.refresh_token)
    assert claims_of(again.refresh_token)["jti"] == claims_of(first.refresh_token)["jti"]
    assert tokens.verify(first.access_token)
    assert tokens.verify(again.access_token)
    assert tokens.refresh(again.refresh_token)
    assert row_of(pair).is_active


@pytest.mark.parametrize(("short", "holds"), [(1, True), (0, False), (-1, False)])
def test_the_grace_window_is_kept_to_the_microsecond(pair, later, short, holds):
    later(0)
    tokens.refresh(pair.refresh_token)
    since = timezone.now() - timedelta(seconds=10) + timedelta(microseconds=short)
    UserSession.objects.filter(pk=pair.session.pk).update(refreshed_at=since)
    assert (tokens.refresh(pair.refresh_token) is not None) == holds
    assert row_of(pair).revoked_reason == ("" if holds else "refresh_reuse")


@pytest.mark.parametrize("ahead", [0, 5, 3600])
def test_without_a_grace_window_a_second_use_is_a_replay_whatever_the_clocks(pair, settings, later, ahead):
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    later(0)
    following = tokens.refresh(pair.refresh_token)
    refreshed_at = timezone.now() + timedelta(seconds=ahead)  # by the server that did it
    UserSession.objects.filter(pk=pair.session.pk).update(refreshed_at=refreshed_at)
    assert tokens.refresh(pair.refresh_token) is None
    assert are_refused(following)


# Two at once. The other one comes between what a refresh reads and what it writes.


def test_a_refresh_that_another_one_precedes_repeats_its_pair(pair):
    others = []
    with once_read(UserSession, lambda: others.append(tokens.refresh(pair.refresh_token))):
        repeated = tokens.refresh(pair.refresh_token)
    (other,) = others
    assert claims_of(repeated.refresh_token)["jti"] == claims_of(other.refresh_token)["jti"]
    assert row_of(pair).is_active


def test_a_refresh_that_another_one_precedes_is_a_replay_without_a_grace_window(pair, settings):
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    others = []
    with once_read(UserSession, lambda: others.append(tokens.refresh(pair.refresh_token))):
        assert tokens.refresh(pair.refresh_token) is None
    assert row_of(pair).revoked_reason == "refresh_reuse"
    assert are_refused(*others)


def test_a_refresh_that_a_revoke_precedes_is_refused(pair):
    with once_read(UserSession, lambda: row_of(pair).revoke("stolen")):
        assert tokens.refresh(pair.refresh_token) is None
    row = row_of(pair)
    assert (row.revoked_reason, row.refreshed_at) == ("stolen", None)


def test_a_replay_that_a_revoke_precedes_ends_nothing(pair, later, caplog):
    tokens.refresh(pair.refresh_token)
    later(10)
    with once_read(UserSession, lambda: row_of(pair).revoke("stolen")), caplog.at_level(logging.WARNING):
        assert tokens.refresh(pair.refresh_token) is None
    row = row_of(pair)
    assert (row.revoked_reason, row.suspicious_activity_count) == ("stolen", 0)
    assert not caplog.records


# Replays.


def test_a_used_token_that_comes_back_ends_the_session(
    pair, later, caplog, receiver_of, django_capture_on_commit_callbacks
):
    following = tokens.refresh(pair.refresh_token)
    later(10)
    revoked = receiver_of(session_revoked)
    with caplog.at_level(logging.WARNING, "sessions_ext"), django_capture_on_commit_callbacks(execute=True):
        assert tokens.refresh(pair.refresh_token) is None
    row = row_of(pair)
    assert (row.revoked_reason, row.ended_by) == ("refresh_reuse", "system")
    assert [(each["session_ids"], each["reason"]) for each in revoked] == [([row.pk], "refresh_reuse")]
    assert are_refused(following)
    assert row.suspicious_activity_count == 1
    ended, flagged = (record.getMessage() for record in caplog.records)
    assert "refresh token used twice" in ended
    assert "refresh_replayed" in flagged
    assert str(row.pk) in ended
    assert not any(part in caplog.text for part in pair.refresh_token.split("."))
    assert not any(part in caplog.text for part in following.refresh_token.split("."))


def test_a_replay_is_recorded_once(pair, later, caplog):
    tokens.refresh(pair.refresh_token)
    later(10)
    ended = [tokens.refresh(pair.refresh_token) for _ in range(3)]
    assert ended == [None] * 3
    assert [record.getMessage().count("used twice") for record in caplog.records] == [1, 0]


def test_a_token_two_generations_old_is_a_replay_within_the_grace_window(pair):
    following = tokens.refresh(pair.refresh_token)
    last = tokens.refresh(following.refresh_token)
    assert tokens.refresh(following.refresh_token)  # one generation is forgiven
    assert tokens.refresh(pair.refresh_token) is None
    assert row_of(pair).revoked_reason == "refresh_reuse"
    assert are_refused(last)


def test_a_replay_ends_its_own_session_and_no_other(user, pair, later):
    other, stranger = sign_in(user), sign_in(UserFactory())
    tokens.refresh(pair.refresh_token)
    later(10)
    assert tokens.refresh(pair.refresh_token) is None
    assert tokens.verify(other.access_token)
    assert tokens.verify(stranger.access_token)


def test_a_session_whose_refresh_token_was_taken_away_is_not_refreshed(pair):
    UserSession.objects.filter(pk=pair.session.pk)._link_refresh_token(None)
    assert tokens.refresh(pair.refresh_token) is None
