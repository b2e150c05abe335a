"""Logging in for tokens: what it gives, what it leaves alone, and the limit."""

from datetime import timedelta

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session as CookieSession
from django.test import Client
from django.utils import timezone

from sessions_ext import tokens
from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import UserSession
from sessions_ext.signals import session_limit_reached, session_started
from sessions_ext.testing import log_in
from tests.pairs import are_refused, claims_of
from tests.tokens.logins import CLAIMS, a_request, row_of, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


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
