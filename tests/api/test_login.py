"""Signing in by the API: who may, what it gives, and what it leaves alone."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test import Client
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.api.calls import JSON, SESSION, App, problem, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


# Signing in.


def test_login_answers_with_tokens_and_the_session(user, later):
    answer = sign_in(user.get_username(), headers={"User-Agent": FIREFOX}, REMOTE_ADDR="203.0.113.7")
    assert answer.status_code == 201
    assert answer["Content-Type"].startswith(JSON)
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in", "session"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    row = UserSession.objects.get()
    assert set(body["session"]) == SESSION
    told = {
        name: body["session"][name] for name in ("id", "state", "is_current", "is_trusted", "device_info")
    }
    assert told == {
        "id": str(row.pk),
        "state": "active",
        "is_current": True,
        "is_trusted": False,
        "device_info": "Firefox on Linux",
    }
    assert body["session"]["ip_address"] == body["session"]["last_ip_address"] == "203.0.113.7"
    assert row.user == user
    for token in (body["access_token"], body["refresh_token"]):
        assert token not in json.dumps(body["session"])
    assert str(row.refresh_token_id) not in answer.content.decode()


def test_login_gives_no_cookie_and_makes_one_row(user):
    client = Client()
    answer = sign_in(user.get_username(), client=client)
    assert not answer.cookies
    assert not client.cookies
    assert UserSession.objects.count() == 1


def test_login_by_a_browser_that_has_a_session_leaves_that_as_it_is(client, user):
    own = log_in(client, user)
    cookie = client.cookies["sessionid"].value
    answer = sign_in(user.get_username(), client=client)
    assert answer.status_code == 201
    assert not answer.cookies
    assert answer.json()["session"]["id"] != str(own.pk)
    assert answer.json()["session"]["is_current"] is True
    assert client.cookies["sessionid"].value == cookie
    assert client.get("/row/").content.decode() == str(own.pk)
    assert UserSession.objects.for_user(user).active().count() == 2


def test_login_is_recorded_as_django_does(user, sent, later):
    assert user.last_login is None
    answer = sign_in(user.get_username())
    user.refresh_from_db()
    assert user.last_login == timezone.now()
    assert [(s.user, s.request.path, str(s.user_session.pk)) for s in sent.logins] == [
        (user, "/api/sessions", answer.json()["session"]["id"])
    ]
    assert sent.failures == sent.logouts == []


def test_a_failed_login_is_recorded_as_django_does(user, sent):
    sign_in(user.get_username(), "a wrong one")
    assert [(s.request.path, s.credentials["username"]) for s in sent.failures] == [
        ("/api/sessions", user.get_username())
    ]
    assert "a wrong one" not in str(sent.failures)
    assert sent.logins == []
    assert not UserSession.objects.exists()


def test_a_receiver_of_the_login_is_given_the_request_of_that_session(user, at_login):
    seen = []
    at_login(lambda request: seen.append((request.user, str(request.user_session.pk))))
    answer = sign_in(user.get_username())
    assert seen == [(user, answer.json()["session"]["id"])]


@pytest.mark.parametrize("address", ["ada@example.org", "ADA@Example.ORG", "\uff41da@example.org"])
def test_an_email_address_does_for_the_user_name(address):
    user = UserFactory(email="ada@example.org")
    UserFactory(email="bob@example.org")
    assert sign_in(address).status_code == 201
    assert UserSession.objects.get().user == user


def test_a_user_name_is_normalised_as_it_was_at_sign_up():
    user = UserFactory(username="\ufb01nn")  # Django stores "finn"
    for name in ("\ufb01nn", "finn"):
        assert sign_in(name).status_code == 201
    assert UserSession.objects.for_user(user).count() == 2


def test_a_user_name_that_is_another_ones_email_address_comes_first():
    named = UserFactory(username="ada@example.org", password="of the named")
    UserFactory(email="ada@example.org", password="of the addressed")
    assert problem(sign_in("ada@example.org", "of the addressed")) == "401 invalid_credentials"
    assert sign_in("ada@example.org", "of the named").status_code == 201
    assert UserSession.objects.get().user == named


def test_an_account_whose_name_is_its_own_address_signs_in():
    UserFactory(username="ada@example.org", email="Ada@example.org")
    assert sign_in("ada@example.org").status_code == 201
    assert sign_in("ADA@example.org").status_code == 201


def test_an_email_address_of_two_accounts_signs_in_neither():
    for password in ("one", "two"):
        UserFactory(username=password, email="shared@example.org", password=password)
    for password in ("one", "two"):
        assert problem(sign_in("shared@example.org", password)) == "401 invalid_credentials"
        assert sign_in(password, password).status_code == 201


def test_an_inactive_account_takes_no_email_address_from_an_active_one(django_assert_num_queries):
    user = UserFactory(email="ada@example.org")
    for _ in range(2):
        UserFactory(email="ADA@example.org", password="of the gone", is_active=False)
    assert sign_in("ada@example.org").status_code == 201
    assert UserSession.objects.get().user == user
    for identifier in ("ada@example.org", "nobody@example.org"):
        with django_assert_num_queries(3):  # whose name is it, whose address, and authenticate()
            assert problem(sign_in(identifier, "of the gone")) == "401 invalid_credentials"


def test_the_user_name_of_an_inactive_account_comes_first_all_the_same():
    UserFactory(username="ada@example.org", is_active=False)
    UserFactory(email="ada@example.org", password="of the addressed")
    for password in ("password", "of the addressed"):
        assert problem(sign_in("ada@example.org", password)) == "401 invalid_credentials"


def test_where_no_account_is_inactive_each_counts(monkeypatch, user):
    """By a user model that does not have `is_active`."""
    options = get_user_model()._meta
    fields = [field for field in options.get_fields() if field.name != "is_active"]
    for _ in range(2):
        UserFactory(email="shared@example.org", is_active=False)
    get_user_model().objects.filter(pk=user.pk).update(email="shared@example.org")
    monkeypatch.setattr(options, "get_fields", lambda *args, **kwargs: fields)
    assert problem(sign_in("shared@example.org")) == "401 invalid_credentials"


def test_where_the_email_address_is_the_user_name_it_signs_in(monkeypatch, user):
    user.email = "ada@example.org"
    user.save()
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    assert sign_in("ada@example.org").status_code == 201
    assert problem(sign_in(user.username)) == "401 invalid_credentials"


def test_a_user_model_without_an_email_address_has_user_names_only(monkeypatch, user):
    monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", "nowhere")
    assert problem(sign_in("ada@example.org")) == "401 invalid_credentials"
    assert sign_in(user.get_username()).status_code == 201


def test_who_may_not_sign_in_is_told_nothing_more():
    UserFactory(username="ada", email="ada@example.org")
    UserFactory(username="gone", email="gone@example.org", is_active=False)
    attempts = [
        ("ada", "wrong"),
        ("ada@example.org", "wrong"),
        *([] if connection.vendor == "mysql" else [("Ada", "password")]),  # where a name is one in any case
        ("ada", "Password"),
        ("ada", "password "),
        ("ada", "\0password"),
        ("ada", "p" * 4096),
        ("gone", "password"),
        ("gone@example.org", "password"),
        ("gone", "wrong"),
        ("nobody", "password"),
        ("nobody@example.org", "password"),
        ("@", "password"),
        ("%", "password"),
        ("ad_", "password"),
        ("%@example.org", "password"),
        ("ada' OR 1=1 --", "password"),
        ("\U0001f469" * 254, "password"),
        ("\ufdfa" * 254, "password"),  # eighteen times as long when it is normalised
        ("\ufdfa" * 253 + "@", "password"),
    ]
    answers = [sign_in(*attempt) for attempt in attempts]
    assert {problem(answer) for answer in answers} == {"401 invalid_credentials"}
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1
    assert not UserSession.objects.exists()


# The limit, and refusals of the project's own.


def test_a_login_over_the_limit_ends_the_oldest_session(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    first, second, third = App(user), App(user), App(user)
    assert [app.get("/sessions/current").status_code for app in (first, second, third)] == [401, 200, 200]
    assert first.session.revoked_reason == "limit"


def test_a_login_that_the_limit_denies_is_told_so(user, settings, sent):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    app = App(user)
    user.refresh_from_db()
    before = user.last_login
    assert problem(sign_in(user.get_username())) == "403 session_limit_reached"
    assert problem(sign_in(user.get_username(), "wrong")) == "401 invalid_credentials"
    assert UserSession.objects.count() == 1
    assert app.get("/sessions/current").status_code == 200
    user.refresh_from_db()
    assert user.last_login == before
    assert len(sent.logins) == 1
    app.delete("/sessions/current")
    assert sign_in(user.get_username()).status_code == 201


def test_who_meets_the_limit_is_told_of_their_sessions_and_ends_one(user, app, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    stranger = UserSessionFactory()
    answer = sign_in(user.get_username())
    assert problem(answer) == "403 session_limit_reached"
    [told] = answer.json()["sessions"]
    assert set(told) == {"id", "device_info", "location", "created_at", "last_activity_at"}
    assert told["id"] == app.id

    def knock(ends, password="password"):
        body = {"username": user.get_username(), "password": password, "ends": ends}
        return Client().post("/api/sessions", body, JSON)

    assert problem(knock(app.id, "wrong")) == "401 invalid_credentials"
    for not_theirs in (str(stranger.pk), "0" * 32):
        assert problem(knock(not_theirs)) == "403 session_limit_reached"
    assert problem(knock("x")) == "422 invalid_request"
    assert app.session.is_active
    stranger.refresh_from_db()
    assert stranger.is_active
    assert knock(app.id).status_code == 201
    assert app.session.revoked_reason == "user"
    assert UserSession.objects.for_user(user).active().count() == 1


@pytest.mark.parametrize(("limit", "status"), [(0, 403), (2, 201), (None, 201)])
def test_nothing_ends_where_that_makes_no_room(user, app, settings, limit, status):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": limit, "ON_LIMIT": "deny"}
    body = {"username": user.get_username(), "password": "password", "ends": app.id}
    assert Client().post("/api/sessions", body, JSON).status_code == status
    assert app.session.is_active


def test_a_login_that_a_receiver_refuses_leaves_nothing(user, at_login):
    def refuse(request):
        raise PermissionDenied("not from here, and here is why")

    at_login(refuse)
    answer = sign_in(user.get_username())
    assert problem(answer) == "403 login_denied"
    assert "why" not in answer.content.decode()
    assert not UserSession.objects.exists()


# What a receiver of the login does to the browser's session is no matter of the API's.


@pytest.mark.parametrize("state", ["anonymous", "signed in", "another's", "revoked"])
def test_a_receiver_that_reads_the_browsers_session_disturbs_no_login(client, user, at_login, state):
    if state == "anonymous":
        client.get("/put/?key=basket&value=1")
    else:
        log_in(client, UserFactory() if state == "another's" else user)
    if state == "revoked":
        UserSession.objects.for_user(user).revoke("admin")
    seen = []
    at_login(lambda request: request.session.get("basket"))
    at_login(lambda request: seen.append(str(request.user_session and request.user_session.pk)))
    answer = sign_in(user.get_username(), client=client)
    assert answer.status_code == 201
    session = answer.json()["session"]
    assert session["is_current"] is True
    assert seen == [session["id"]]
