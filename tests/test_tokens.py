"""Tokens as the apps that keep them meet them. What must never happen stands in test_security.py,
F01 and F04 here: they need threads that race."""

import base64
import hashlib
import json
import logging
import random
import string
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session as CookieSession
from django.db import connection, connections, transaction
from django.test import Client, RequestFactory
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sessions_ext import tokens
from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import UserSession
from sessions_ext.signals import session_limit_reached, session_revoked, session_started
from sessions_ext.testing import UserFactory, log_in

pytestmark = pytest.mark.django_db

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
ALL_USERS = "django.contrib.auth.backends.AllowAllUsersModelBackend"
CLAIMS = {"sub", "sid", "jti", "iat", "exp", "type", "auth"}


class OtherBackend(ModelBackend):
    """Another one that a project may have beside Django's."""


class PickyBackend(ModelBackend):
    """Says itself who exists."""

    def get_user(self, user_id):
        user = super().get_user(user_id)
        return user if user and user.last_name != "nobody" else None


class ReplicaBackend(ModelBackend):
    """Reads users from a replica."""

    def get_user(self, user_id):
        user = super().get_user(user_id)
        user._state.db = "other"
        return user


OTHER, PICKY, REPLICA = (f"{__name__}.{name}" for name in ("OtherBackend", "PickyBackend", "ReplicaBackend"))


def a_request(**meta):
    return RequestFactory().post("/api/sessions", **meta)


def sign_in(user, backend=None, request=None):
    return tokens.login(request or a_request(), user, backend)


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def key_of(secret):
    """What tokens are signed with: a change of this signs everyone out."""
    return hashlib.sha256(b"sessions_ext.tokens" + secret.encode()).digest()


def is_signed_by(secret, token):
    try:
        jwt.decode(token, key_of(secret), algorithms=["HS256"])
    except jwt.InvalidSignatureError:
        return False
    return True


def row_of(pair):
    return UserSession.objects.get(pk=pair.session.pk)


def are_refused(pair):
    """Neither of its tokens does anything any more."""
    return tokens.verify(pair.access_token) is None and tokens.refresh(pair.refresh_token) is None


@pytest.fixture
def pair(user):
    return sign_in(user)


@pytest.fixture
def at_login():
    """Have something done by a receiver of user_logged_in, of any user or of users of one class."""
    connected = []

    def connect(do, sender=None):
        def receive(sender, **kwargs):
            do(**kwargs)

        user_logged_in.connect(receive, sender=sender)
        connected.append((receive, sender))

    yield connect
    for receive, sender in connected:
        user_logged_in.disconnect(receive, sender=sender)


@pytest.fixture
def at():
    """Stop the clock at a time."""
    travellers = []

    def stop(moment):
        travellers.append(time_machine.travel(moment, tick=False))
        travellers[-1].start()

    yield stop
    for traveller in reversed(travellers):
        traveller.stop()


# Logging in.


def test_a_login_gives_tokens_that_work_and_one_row(user, receiver_of, django_capture_on_commit_callbacks):
    started = receiver_of(session_started)
    with django_capture_on_commit_callbacks(execute=True):
        pair = sign_in(user, request=a_request(HTTP_USER_AGENT="curl/8.5.0", REMOTE_ADDR="192.0.2.7"))
    session = UserSession.objects.get()
    assert (session.user, session.user_agent, session.ip_address) == (user, "curl/8.5.0", "192.0.2.7")
    assert [each["session"].pk for each in started] == [session.pk]
    verified = tokens.verify(pair.access_token)
    assert (verified.pk, verified.user) == (session.pk, user)
    assert tokens.refresh(pair.refresh_token).session.pk == session.pk


def test_the_claims_of_a_pair(user, later):
    later(0)
    pair = sign_in(user)
    access, refresh = claims_of(pair.access_token), claims_of(pair.refresh_token)
    session = row_of(pair)
    assert set(access) == set(refresh) == CLAIMS
    assert access["sub"] == refresh["sub"] == user._meta.pk.value_to_string(user)
    assert access["sid"] == refresh["sid"] == str(session.pk)
    assert (access["type"], refresh["type"]) == ("access", "refresh")
    assert access["iat"] == refresh["iat"] == int(timezone.now().timestamp())
    assert access["exp"] == int((timezone.now() + timedelta(minutes=15)).timestamp())
    assert refresh["exp"] == int(session.expires_at.timestamp())
    assert refresh["jti"] == str(session.refresh_token_id)
    assert access["jti"] not in {refresh["jti"], str(session.pk)}
    assert access["auth"] == refresh["auth"]
    assert pair.expires_in == 15 * 60
    assert jwt.get_unverified_header(pair.access_token) == {"alg": "HS256", "typ": "JWT"}


def test_no_claim_repeats_what_proves_the_password(pair, user):
    for token in (pair.access_token, pair.refresh_token):
        claims = str(claims_of(token))
        assert user.get_session_auth_hash()[:16] not in claims
        assert user.password not in claims


def test_an_access_token_ends_with_its_session(user, settings, later):
    settings.SESSIONS_EXT = {"LIFETIME": 60, "ACCESS_TOKEN_LIFETIME": 900}
    later(0)
    pair = sign_in(user)
    assert claims_of(pair.access_token)["exp"] == int(row_of(pair).expires_at.timestamp())
    assert pair.expires_in == 60
    later(50)
    assert tokens.refresh(pair.refresh_token).expires_in == 10


def test_no_token_is_told_by_a_pair(pair):
    shown = f"{pair!r} {pair} {[pair]} {pair.session!r}"
    for token in (pair.access_token, pair.refresh_token):
        assert not any(part in shown for part in token.split("."))


def test_a_login_is_recorded_as_djangos_is(user, at_login, later):
    sent = []
    at_login(lambda **kwargs: sent.append(kwargs))
    later(0)
    request = a_request()
    pair = sign_in(user, request=request)
    user.refresh_from_db()
    assert user.last_login == timezone.now()
    (only,) = sent
    assert (only["request"], only["user"], only["user_session"]) == (request, user, pair.session)
    assert (request.user, request.user_session) == (user, pair.session)
    assert async_to_sync(request.auser)() == user
    assert async_to_sync(request.auser_session)() == pair.session


def test_a_login_of_the_user_of_a_request_reaches_the_receivers_for_users(client, user, at_login):
    """A page that gives its visitor's app tokens has a lazy request.user."""
    log_in(client, user)
    request = client.get("/who/").wsgi_request
    sent = []
    at_login(lambda user, **kwargs: sent.append(user), sender=get_user_model())
    assert request.user == user
    sign_in(request.user, request=request)
    assert sent == [user]


def test_a_receiver_that_refuses_a_login_leaves_nothing(user, at_login, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    elsewhere = sign_in(user)
    user.refresh_from_db()
    before = user.last_login
    at_login(lambda **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sign_in(user)
    assert tokens.verify(elsewhere.access_token) is not None  # nobody had to make room
    assert UserSession.objects.get().pk == elsewhere.session.pk
    user.refresh_from_db()
    assert user.last_login == before


def test_a_receiver_that_refuses_a_login_leaves_the_request_nobodys(user, at_login):
    at_login(lambda **kwargs: 1 / 0)
    request = Client().get("/untouched/").wsgi_request
    with pytest.raises(ZeroDivisionError):
        sign_in(user, request=request)
    assert not request.user.is_authenticated
    assert not request.user_session


def test_a_login_leaves_the_cookie_of_the_same_browser_as_it_is(client, user):
    mine = log_in(client, user)
    payload = CookieSession.objects.get().session_data
    request = client.get("/who/").wsgi_request
    pair = sign_in(user, request=request)
    assert UserSession.objects.for_user(user).count() == 2
    assert pair.session.pk != mine.pk
    assert not request.session.modified
    assert request.session.session_key == client.cookies["sessionid"].value
    assert CookieSession.objects.get().session_data == payload
    assert client.get("/row/").content.decode() == str(mine.pk)


def test_a_login_of_another_browser_makes_no_cookie(client, user):
    request = client.get("/untouched/").wsgi_request
    sign_in(user, request=request)
    assert request.session.is_empty()
    assert not request.session.modified
    assert UserSession.objects.count() == 1


# Which backend.


def test_where_one_backend_is_configured_it_need_not_be_named(user):
    assert tokens.verify(sign_in(user).access_token).user == user


def test_where_several_are_configured_one_has_to_be_known(user, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, OTHER]
    with pytest.raises(ValueError, match="AUTHENTICATION_BACKENDS"):
        sign_in(user)
    assert not UserSession.objects.exists()
    assert tokens.verify(sign_in(user, OTHER).access_token).user == user
    user.backend = MODEL_BACKEND  # as authenticate() leaves it
    assert tokens.verify(sign_in(user).access_token).user == user


@pytest.mark.parametrize("backend", ["nowhere.Backend", OTHER])
def test_a_backend_that_is_not_configured_logs_nobody_in(user, backend):
    with pytest.raises(ValueError, match="AUTHENTICATION_BACKENDS"):
        sign_in(user, backend)
    user.backend = backend
    with pytest.raises(ValueError, match="AUTHENTICATION_BACKENDS"):
        sign_in(user)
    assert not UserSession.objects.exists()


def test_tokens_of_a_backend_that_was_removed_are_refused(user, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, OTHER]
    pair, kept = sign_in(user, OTHER), sign_in(user, MODEL_BACKEND)
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND]
    assert are_refused(pair)
    assert tokens.verify(kept.access_token) is not None
    settings.AUTHENTICATION_BACKENDS = [OTHER, MODEL_BACKEND]  # the order is no matter
    assert tokens.verify(kept.access_token) is not None


def test_a_refresh_stays_with_the_backend_of_the_login(user, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, OTHER]
    pair = tokens.refresh(sign_in(user, OTHER).refresh_token)
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND]
    assert tokens.verify(pair.access_token) is None


def test_a_backend_that_says_who_exists_is_asked(user, settings):
    settings.AUTHENTICATION_BACKENDS = [PICKY]
    pair = sign_in(user)
    assert tokens.verify(pair.access_token).user == user
    type(user).objects.filter(pk=user.pk).update(last_name="nobody")
    assert are_refused(pair)


def test_a_backend_may_read_users_from_another_database(user, settings):
    settings.AUTHENTICATION_BACKENDS = [REPLICA]
    pair = sign_in(user)
    assert tokens.verify(pair.access_token).user == user
    assert tokens.refresh(pair.refresh_token).session.user == user


def test_a_backend_that_lets_disabled_users_in_goes_on_doing_so(user, settings):
    settings.AUTHENTICATION_BACKENDS = [ALL_USERS]
    user.is_active = False
    user.save()
    pair = sign_in(user)
    assert tokens.verify(pair.access_token).user == user
    assert tokens.verify(tokens.refresh(pair.refresh_token).access_token).user == user


def test_a_disabled_user_is_refused_and_the_session_ends(user, pair):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    assert tokens.verify(pair.access_token) is None
    assert row_of(pair).revoked_reason == "user_disabled"
    get_user_model().objects.filter(pk=user.pk).update(is_active=True)
    assert are_refused(pair)


# The limit.


def test_a_login_over_the_limit_ends_the_oldest_tokens(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    first, second, third = sign_in(user), sign_in(user), sign_in(user)
    assert are_refused(first)
    assert tokens.verify(second.access_token)
    assert tokens.verify(third.access_token)
    assert row_of(first).revoked_reason == "limit"


def test_a_denied_login_leaves_nothing(user, settings, receiver_of):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    first = sign_in(user)
    reached = receiver_of(session_limit_reached)
    request = Client().get("/untouched/").wsgi_request
    with pytest.raises(SessionLimitReached):
        sign_in(user, request=request)
    assert not request.user.is_authenticated
    assert UserSession.objects.get().pk == first.session.pk
    assert tokens.verify(first.access_token)
    assert len(reached) == 1


# What each costs.


def test_a_verify_costs_one_query(pair, django_assert_num_queries):
    with django_assert_num_queries(1):
        session = tokens.verify(pair.access_token)
        assert session.user.get_username()
        assert session.is_active


def test_a_refresh_costs_a_select_and_an_update(pair, later, django_assert_num_queries):
    with django_assert_num_queries(2):
        pair = tokens.refresh(pair.refresh_token)
    later(60)
    with django_assert_num_queries(3):  # and a touch, once per TOUCH_INTERVAL
        tokens.refresh(pair.refresh_token)


def test_a_double_submit_costs_no_more_and_a_replay_is_flagged_too(pair, settings, django_assert_num_queries):
    tokens.refresh(pair.refresh_token)
    with django_assert_num_queries(1):
        assert tokens.refresh(pair.refresh_token)
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    with django_assert_num_queries(3 + 2):  # the tests are in a transaction: a savepoint
        assert tokens.refresh(pair.refresh_token) is None


@pytest.mark.parametrize("token", ["", "x", "a.b.c", None, 1, b"a.b.c", ["a.b.c"], {}])
def test_what_is_no_token_costs_nothing(token, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert tokens.verify(token) is None
        assert tokens.refresh(token) is None


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
    UserSession.objects.filter(pk=pair.session.pk).link_refresh_token(None)
    assert tokens.refresh(pair.refresh_token) is None


# Time.


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
    pair = sign_in(user)
    claims = claims_of(pair.access_token)
    assert abs(claims["iat"] - time.time()) < 5
    assert claims["exp"] - claims["iat"] == pair.expires_in == 900
    assert abs(claims_of(pair.refresh_token)["exp"] - time.time() - 30 * 86400) < 5
    following = tokens.refresh(pair.refresh_token)
    assert tokens.refresh(pair.refresh_token)
    assert tokens.verify(following.access_token)
    at(datetime.fromtimestamp(claims["exp"], UTC))
    assert tokens.verify(pair.access_token) is None
    assert tokens.refresh(following.refresh_token)
    assert tokens.refresh(pair.refresh_token) is None  # a replay by now
    assert row_of(pair).revoked_reason == "refresh_reuse"


# Keys.


def test_a_new_secret_key_with_the_old_as_fallback_signs_nobody_out(user, settings):
    pair, old = sign_in(user), settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, ["x" * 50, old]
    assert tokens.verify(pair.access_token).user == user
    following = tokens.refresh(pair.refresh_token)
    assert is_signed_by("n" * 50, following.access_token)
    assert is_signed_by("n" * 50, following.refresh_token)
    settings.SECRET_KEY_FALLBACKS = []
    assert tokens.verify(following.access_token).user == user
    assert tokens.refresh(following.refresh_token)


def test_a_double_submit_over_a_key_rotation_gets_a_pair_by_the_new_key(pair, settings):
    tokens.refresh(pair.refresh_token)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
    assert is_signed_by("n" * 50, tokens.refresh(pair.refresh_token).refresh_token)


def test_a_new_secret_key_without_a_fallback_refuses_every_older_token(pair, settings):
    settings.SECRET_KEY = "n" * 50
    assert are_refused(pair)
    assert row_of(pair).is_active


def test_a_signing_key_takes_the_place_of_the_secret_key(user, pair, settings):
    settings.SESSIONS_EXT = {"SIGNING_KEY": "s" * 50}
    assert are_refused(pair)
    following = sign_in(user)
    assert is_signed_by("s" * 50, following.access_token)
    assert tokens.verify(following.access_token).user == user
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    assert tokens.verify(pair.access_token).user == user
    assert is_signed_by("s" * 50, tokens.refresh(pair.refresh_token).refresh_token)


def test_a_signing_key_is_changed_by_way_of_the_fallbacks(user, settings):
    settings.SESSIONS_EXT = {"SIGNING_KEY": "s" * 50}
    pair = sign_in(user)
    settings.SESSIONS_EXT = {"SIGNING_KEY": "t" * 50}
    assert tokens.verify(pair.access_token) is None
    settings.SECRET_KEY_FALLBACKS = ["s" * 50]
    assert tokens.verify(pair.access_token).user == user


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_what_another_library_signed_with_the_same_secret_is_no_token_of_ours(pair, settings, algorithm):
    secret = settings.SECRET_KEY
    for token in (pair.access_token, pair.refresh_token):
        forged = jwt.encode(claims_of(token), secret.ljust(64), algorithm=algorithm)
        assert tokens.verify(forged) is tokens.refresh(forged) is None
        forged = jwt.encode(claims_of(token), hashlib.sha256(secret.encode()).digest().ljust(64), algorithm)
        assert tokens.verify(forged) is tokens.refresh(forged) is None
    assert row_of(pair).is_active


# Whatever ends a session ends its tokens. (A change of password: F06 in test_security.py.)


def by_one(user, session):
    assert UserSession.objects.for_user(user).filter(pk=session.pk).revoke("stolen") == 1


def by_all(user, session):
    UserSession.objects.for_user(user).revoke("user")


def by_suspicion(user, session):
    session.flag_suspicious("impossible travel")


def by_limit(user, session):
    UserSession.objects.enforce_limit(user)


def by_admin_action(user, session):
    admin = Client()
    log_in(admin, UserFactory(is_staff=True, is_superuser=True))
    selected = {"action": "revoke_selected", "_selected_action": [str(session.pk)], "confirmed": "yes"}
    page = admin.post("/admin/sessions_ext/usersession/", selected | {"reason": "stolen"})
    assert page.status_code == 302, page.content.decode()


def by_deleting_the_row(user, session):
    session.delete()


def by_deactivation(user, session):
    user.is_active = False
    user.save()


def by_raw_deactivation(user, session):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)


def by_deleting_the_user(user, session):
    user.delete()


def by_raw_deletion(user, session):
    with connection.cursor() as cursor:
        key = user._meta.pk.get_db_prep_value(user.pk, connection)
        cursor.execute("DELETE FROM sessions_ext_usersession WHERE user_id = %s", [key])
        cursor.execute(f"DELETE FROM {user._meta.db_table} WHERE id = %s", [key])


@pytest.mark.parametrize(
    "end",
    [
        by_one,
        by_all,
        by_suspicion,
        by_limit,
        by_admin_action,
        by_deleting_the_row,
        by_deactivation,
        by_raw_deactivation,
        by_deleting_the_user,
        by_raw_deletion,
    ],
)
def test_each_end_bites_at_once(user, settings, end):
    refreshed = sign_in(user)
    pair = tokens.refresh(refreshed.refresh_token)
    bystander = sign_in(UserFactory())
    settings.SESSIONS_EXT = {"SUSPICION_THRESHOLD": 1, "MAX_SESSIONS": 0 if end is by_limit else None}
    end(user, pair.session)
    assert tokens.verify(refreshed.access_token) is None
    assert tokens.refresh(refreshed.refresh_token) is None  # not by the grace window either
    assert are_refused(pair)
    assert tokens.verify(bystander.access_token)


# Races: threads that stay, each with a connection of its own.

SECONDS = 60
THREADS = 20


class Crew:
    def __init__(self, size):
        self.size = size
        self.pool = ThreadPoolExecutor(size)

    def at_once(self, calls):
        """What each call returned; they start together."""
        barrier = threading.Barrier(len(calls), timeout=SECONDS)

        def run(call):
            connection.ensure_connection()
            barrier.wait()
            return call()

        return [future.result(2 * SECONDS) for future in [self.pool.submit(run, call) for call in calls]]

    def leave(self):
        self.at_once([connections.close_all] * self.size)
        self.pool.shutdown()


@pytest.fixture
def crew(transactional_db):
    crew = Crew(THREADS + 1)
    yield crew
    crew.leave()


def refreshes(pair):
    return [lambda: tokens.refresh(pair.refresh_token)] * THREADS


def race_within_grace(crew, user):
    pair = sign_in(user)
    pairs = crew.at_once(refreshes(pair))
    row = row_of(pair)
    # Each rotation replaces the token before it: one that replaced the first was the only one.
    assert row.previous_refresh_token_id == pair.session.refresh_token_id
    assert {each and claims_of(each.refresh_token)["jti"] for each in pairs} == {str(row.refresh_token_id)}
    verified = crew.at_once([lambda token=each.access_token: tokens.verify(token) for each in pairs])
    assert {session and session.pk for session in verified} == {row.pk}
    assert tokens.refresh(random.choice(pairs).refresh_token)
    assert row_of(pair).is_active


def race_without_grace(crew, user):
    pair = sign_in(user)
    won = [each for each in crew.at_once(refreshes(pair)) if each]
    assert len(won) == 1
    row = row_of(pair)
    assert row.revoked_reason == "refresh_reuse"
    assert row.previous_refresh_token_id == pair.session.refresh_token_id
    assert are_refused(won[0])


def race_with_a_revoke(crew, user):
    pair = sign_in(user)
    revoked = threading.Event()
    minted, too_late = [pair], []

    def refresh():
        while True:
            was_revoked = revoked.is_set()
            following = tokens.refresh(pair.refresh_token)
            if following:
                minted.append(following)
            if was_revoked:
                too_late.append(following or tokens.verify(pair.access_token))
                return

    def revoke():
        time.sleep(random.random() / 50)
        ended = UserSession.objects.for_user(user).filter(pk=pair.session.pk).revoke("stolen")
        revoked.set()
        return ended

    *_, ended = crew.at_once([refresh] * THREADS + [revoke])
    assert ended == 1
    assert too_late == [None] * THREADS
    assert row_of(pair).revoked_reason == "stolen"
    assert all(are_refused(each) for each in [*minted[:3], *minted[-3:]])
    row = row_of(pair)
    assert (row.revoked_reason, row.is_active) == ("stolen", False)


def rounds(few):
    return pytest.mark.parametrize("rounds", [few, pytest.param(200, marks=pytest.mark.slow)])


@rounds(10)
def test_many_refreshes_of_one_token_at_once_rotate_once_and_sign_nobody_out(rounds, crew, user, settings):
    """F01: 20 threads within the grace window: one rotation, and every pair that was given out works."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 60}
    for _ in range(rounds):
        race_within_grace(crew, user)


@rounds(10)
def test_many_refreshes_at_once_without_grace_have_one_winner_and_end_the_session(
    rounds, crew, user, settings
):
    """F01: 20 threads, and no two live families: the first replay ends the only one."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    for _ in range(rounds):
        race_without_grace(crew, user)


@rounds(10)
def test_after_a_revoke_returned_no_refresh_succeeds(rounds, crew, user, settings):
    """F04: 20 threads refresh while another one revokes."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 60}
    for _ in range(rounds):
        race_with_a_revoke(crew, user)


@pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="where a transaction that reads first may find itself locked out"
)
@rounds(10)
def test_refreshes_in_transactions_of_their_own_rotate_once(rounds, crew, user, settings):
    """F01: the same under ATOMIC_REQUESTS, where a rotation that others wait for is not committed yet."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 60}

    def refresh(token):
        with transaction.atomic():
            return tokens.refresh(token)

    for _ in range(rounds):
        pair = sign_in(user)
        pairs = crew.at_once([lambda pair=pair: refresh(pair.refresh_token)] * THREADS)
        row = row_of(pair)
        assert row.previous_refresh_token_id == pair.session.refresh_token_id
        jtis = {each and claims_of(each.refresh_token)["jti"] for each in pairs}
        assert jtis == {str(row.refresh_token_id)}


# Forgeries: whatever was not minted is refused, breaks nothing and ends nobody's session.

BASE64URL = string.ascii_letters + string.digits + "-_"
EVERYTHING = st.characters(exclude_categories=())  # halves of surrogate pairs, and NUL, too
WRONG_KEYS = [b"", b"secret", b"\0" * 32]


def encoded(value):
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(segment):
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def signed(header, claims, key, digest="sha256"):
    import hmac

    content = f"{encoded(header)}.{encoded(claims)}"
    return f"{content}.{encoded(hmac.digest(key, content.encode(), digest))}"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(EVERYTHING, max_size=40)
    | st.sampled_from(["access", "refresh", "None", "", "0", "-1", "9999999999", "1e400", "\0", "\ud800"]),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=5,
)
algorithms = st.sampled_from(
    [
        *["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "hs256"],
        "",
        "HS256 ",
        None,
        0,
        True,
        [],
        ["HS256"],
        {"alg": "HS256"},
    ]
)
headers = st.fixed_dictionaries(
    {"alg": algorithms | st.just("HS256")},
    optional={
        "typ": json_values,
        "kid": json_values | st.sampled_from(["../../dev/null", "' OR 1=1 --"]),
        "crit": st.lists(st.sampled_from(["exp", "b64", ""]), max_size=2) | json_values,
        "b64": st.booleans() | json_values,
        "zip": st.just("DEF"),
        "jku": st.just("https://example.com/keys"),
        "jwk": st.just({"kty": "oct", "k": encoded(b"\0" * 32)}),
        "x5c": json_values,
        "cty": st.just("JWT"),
    },
)


@st.composite
def mutations(draw, minted):
    token = draw(st.sampled_from(minted))
    segments = token.split(".")
    position = draw(st.integers(0, len(token) - 1))
    at = draw(st.integers(0, 2))
    kind = draw(
        st.sampled_from(["bit", "replace", "insert", "delete", "cut", "swap", "pad", "repeat", "case"])
    )
    if kind == "bit":
        raw = bytearray(decoded(segments[at]))
        bit = draw(st.integers(0, 8 * len(raw) - 1))
        raw[bit // 8] ^= 1 << bit % 8
        segments[at] = encoded(bytes(raw))
        return ".".join(segments)
    if kind == "replace":
        return token[:position] + draw(st.sampled_from(BASE64URL) | EVERYTHING) + token[position + 1 :]
    if kind == "insert":
        more = st.text(
            st.sampled_from(" \t\r\n\0=.+/%\ufeff\u200b\ud800\uff41") | EVERYTHING, min_size=1, max_size=5
        )
        return token[:position] + draw(more) + token[position:]
    if kind == "delete":
        return token[:position] + token[position + draw(st.integers(1, 5)) :]
    if kind == "cut":
        return draw(st.sampled_from([token[:position], token[position + 1 :], ".".join(segments[:2]) + "."]))
    if kind == "swap":
        segments[at] = draw(st.sampled_from(minted)).split(".")[at]
        return ".".join(draw(st.permutations(segments)) if draw(st.booleans()) else segments)
    if kind == "pad":
        segments[at] += "=" * draw(st.integers(1, 4))
        return ".".join(segments)
    if kind == "repeat":
        return draw(
            st.sampled_from([token * 2, f"{token}.{token}", f"{token}.{segments[2]}", f"Bearer {token}"])
        )
    return token.swapcase() if draw(st.booleans()) else token[:position] + token[position:].swapcase()


@st.composite
def forgeries(draw, minted, right_key):
    """Tokens with headers and claims at will, signed by nobody, by a wrong key, or by the right
    key in another algorithm."""
    token = draw(st.sampled_from(minted))
    header = draw(headers)
    claims = claims_of(token)
    for name in draw(st.lists(st.sampled_from(sorted(CLAIMS)), max_size=3)):
        if draw(st.booleans()):
            claims.pop(name, None)
        else:
            claims[name] = draw(json_values | st.sampled_from([claims_of(each)[name] for each in minted]))
    body = draw(st.just(claims) | json_values | st.integers(1, 1400).map(lambda depth: b"[" * depth))
    kind = draw(st.sampled_from(["unsigned", "its own", "wrong key", "another algorithm"]))
    if kind == "unsigned":
        return f"{encoded(header)}.{encoded(body)}." + draw(st.sampled_from(["", "A" * 43, "."]))
    if kind == "its own":
        return f"{encoded(header)}.{encoded(body)}.{token.split('.')[2]}"
    if kind == "wrong key":
        return signed(header, body, draw(st.sampled_from(WRONG_KEYS) | st.binary(max_size=64)))
    digest = draw(st.sampled_from(["sha384", "sha512"]))
    return signed(header | {"alg": digest.replace("sha", "HS")}, body, right_key, digest)


rubbish = (
    st.text(EVERYTHING)
    | st.text(BASE64URL + ".", max_size=400)
    | st.lists(st.text(BASE64URL, max_size=60), min_size=2, max_size=5).map(".".join)
    | st.tuples(
        st.text(BASE64URL, min_size=1, max_size=100), st.text(BASE64URL, min_size=43, max_size=43)
    ).map(lambda parts: f"{parts[0]}.{parts[0]}.{parts[1][:42]}A")
)


def fuzz(examples):
    return hypothesis_settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


def cases(few, many):
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.slow)])


@pytest.fixture
def minted(user, settings):
    """Two users, three sessions, one of them refreshed: all tokens that there are."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    pairs = [sign_in(user), sign_in(user), sign_in(UserFactory())]
    pairs.append(tokens.refresh(pairs[0].refresh_token))
    return [token for pair in pairs for token in (pair.access_token, pair.refresh_token)]


def rows():
    return list(UserSession.objects.order_by("pk").values())


@cases(1000, 80_000)
def test_nothing_is_accepted_that_was_not_minted(examples, minted, settings):
    before = rows()

    @fuzz(examples)
    @given(rubbish | mutations(minted) | forgeries(minted, key_of(settings.SECRET_KEY)))
    def attempt(token):
        if token not in minted:
            assert tokens.verify(token) is None
            assert tokens.refresh(token) is None

    attempt()
    assert rows() == before


@cases(400, 20_000)
def test_claims_of_another_kind_are_refused_though_the_key_is_right(examples, minted, settings):
    """Signed by the right key, so that only the reading of the claims stands in between."""
    key, token = key_of(settings.SECRET_KEY), minted[2]
    good = claims_of(token)
    header = {"alg": "HS256", "typ": "JWT"}

    def is_still_good(claims):
        same = all(claims.get(name) == good[name] for name in ("sub", "type", "auth"))
        times = all(type(claims.get(name)) is int for name in ("iat", "exp"))
        texts = all(type(claims.get(name)) is str for name in ("sub", "sid", "jti"))
        return (
            same
            and times
            and texts
            and claims["exp"] > time.time()
            and UUID(claims["sid"]) == UUID(good["sid"])
        )

    @fuzz(examples)
    @given(st.dictionaries(st.sampled_from(sorted(CLAIMS)), json_values, min_size=1, max_size=3))
    def attempt(changes):
        claims = good | changes
        session = tokens.verify(signed(header, claims, key))
        assert session is None or is_still_good(claims)
        refresh = claims_of(minted[3]) | {"jti": str(uuid4())} | changes
        assert tokens.refresh(signed(header, refresh, key)) is None
        UserSession.objects.update(is_revoked=False, revoked_at=None, revoked_reason="")

    attempt()


@cases(100, 2_000)
def test_whatever_is_presented_to_the_api_is_a_401(examples, minted):
    before = rows()
    client = Client()

    @fuzz(examples)
    @given(rubbish | mutations(minted))
    def attempt(token):
        if token.strip() in minted:
            return
        answer = client.get("/api/sessions", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        body = json.dumps({"refresh_token": token})
        answer = client.post("/api/sessions/refresh", body, content_type="application/json")
        assert answer.status_code == 401 or (answer.status_code == 422 and "\\ud" in body)

    attempt()
    assert rows() == before


def deep(count):
    return b'{"a":' * count + b"1" + b"}" * count


@pytest.mark.parametrize(
    "token",
    [
        "x" * 1_000_000,
        "." * 1_000_000,
        "a." * 500_000,
        "\0" * 1_000_000,
        "é" * 1_000_000,
        f"{'a' * 100}.{'a' * 1_000_000}.{'a' * 42}A",
        f"{encoded(deep(15))}.{encoded(deep(400))}.{'A' * 43}",
        f"{encoded(b'[' * 70)}.{encoded(b'[' * 2900)}.{'A' * 43}",
        f"{encoded(b'1' * 70)}.{encoded(b'1' * 2900)}.{'A' * 43}",
    ],
    ids=["x", "dots", "pairs", "NUL", "not ASCII", "long claims", "deep", "open", "digits"],
)
def test_big_and_deep_tokens_are_refused_in_no_time(token):
    started = time.process_time()
    assert tokens.verify(token) is tokens.refresh(token) is None
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "payload",
    [b"[" * 2900, deep(400), b'"' + b"\\ud800" * 400 + b'"', b"\xff\xfe", b"", b"null", b"1" * 2900],
)
def test_a_payload_that_is_no_claims_is_refused_though_the_key_is_right(payload, settings):
    for header in ({"alg": "HS256"}, {"alg": "HS256", "typ": "JWT"}):
        token = signed(header, payload, key_of(settings.SECRET_KEY))
        assert tokens.verify(token) is tokens.refresh(token) is None


def test_a_token_has_one_spelling(pair):
    """Base64 lets the last character of a signature differ in bits that do not count."""
    for token in (pair.access_token, pair.refresh_token):
        spellings = [token[:-1] + last for last in BASE64URL if last != token[-1]]
        same = [each for each in spellings if decoded(each.split(".")[2]) == decoded(token.split(".")[2])]
        assert len(same) == 3
        assert not any(tokens.verify(each) or tokens.refresh(each) for each in spellings)
    assert row_of(pair).is_active
