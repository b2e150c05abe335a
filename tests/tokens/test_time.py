"""Until when tokens are good."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from sessions_ext import tokens
from sessions_ext.models import UserSession
from tests.pairs import are_refused, claims_of
from tests.tokens.logins import row_of, sign_in

pytestmark = pytest.mark.django_db


def test_an_access_token_is_good_until_the_second_of_its_end(pair, at):
    ends = datetime.fromtimestamp(claims_of(pair.access_token)["exp"], UTC)
    at(ends - timedelta(milliseconds=1))
    assert tokens.verify(pair.access_token)
    at(ends)
    assert tokens.verify(pair.access_token) is None
    assert tokens.refresh(pair.refresh_token)


def test_both_tokens_are_good_until_the_second_in_which_the_session_ends(user, settings, at):
    settings.SESSIONS_EXT = {"ACCESS_TOKEN_LIFETIME": timedelta(days=60)}
    pair = sign_in(user)
    ends = row_of(pair).expires_at.replace(microsecond=0)
    at(ends - timedelta(milliseconds=1))
    assert tokens.verify(pair.access_token)
    following = tokens.refresh(pair.refresh_token)
    assert (following.expires_in, tokens.verify(following.access_token) is None) == (1, False)
    at(ends)
    assert are_refused(pair)
    assert are_refused(following)


def test_a_session_that_was_cut_short_ends_then_whatever_its_tokens_say(pair, later):
    later(0)
    UserSession.objects.filter(pk=pair.session.pk).update(expires_at=timezone.now())
    assert are_refused(pair)


def test_an_idle_session_is_refused(user, settings, later):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 300, "ACCESS_TOKEN_LIFETIME": 3600}
    later(0)
    pair = sign_in(user)
    later(299)
    assert tokens.verify(pair.access_token)
    pair = tokens.refresh(pair.refresh_token)  # is activity
    later(299)
    assert tokens.verify(pair.access_token)
    later(1)
    assert are_refused(pair)


def test_tokens_from_a_server_whose_clock_is_ahead_are_taken(user, at):
    now = timezone.now()
    at(now + timedelta(seconds=30))
    pair = sign_in(user)
    at(now)
    assert tokens.verify(pair.access_token)
    assert tokens.refresh(pair.refresh_token)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_without_time_zone_support_tokens_last_as_long(user, settings, zone, at):
    settings.USE_TZ, settings.TIME_ZONE = False, zone
    at(datetime(2026, 6, 1, 12, tzinfo=UTC))  # no clock is changed within the next 30 days
    pair = sign_in(user)
    claims = claims_of(pair.access_token)
    assert claims["iat"] == int(time.time())
    assert claims["exp"] - claims["iat"] == pair.expires_in == 900
    assert claims_of(pair.refresh_token)["exp"] == int(time.time()) + 30 * 86400
    following = tokens.refresh(pair.refresh_token)
    assert tokens.refresh(pair.refresh_token)
    assert tokens.verify(following.access_token)
    at(datetime.fromtimestamp(claims["exp"], UTC))
    assert tokens.verify(pair.access_token) is None
    assert tokens.refresh(following.refresh_token)
    assert tokens.refresh(pair.refresh_token) is None  # a replay by now
    assert row_of(pair).revoked_reason == "refresh_reuse"
