"""The API as its clients meet it: apps that keep tokens, and pages that have a cookie."""

import json
import sys
import threading
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import quote
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, UserManager
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db import OperationalError, connection, connections
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.views.debug import ExceptionReporter

from sessions_ext import tokens
from sessions_ext.models import UserSession
from sessions_ext.problems import PROBLEMS
from sessions_ext.signals import session_client_changed
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.mounted_api import AUTH

pytestmark = pytest.mark.django_db

JSON = "application/json"
SESSION = {
    "id",
    "state",
    "is_current",
    "is_trusted",
    "device_info",
    "user_agent",
    "ip_address",
    "last_ip_address",
    "location",
    "created_at",
    "last_activity_at",
    "expires_at",
    "revoked_at",
    "revoked_reason",
    "ended_by",
}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


class App:
    """A mobile app: no cookies, its access token with each call. Takes what a test client takes."""

    def __init__(self, user, password="password", **defaults):
        self.client = Client(**defaults)
        answer = sign_in(user.get_username(), password, self.client)
        assert answer.status_code == 201, answer.content
        self.tokens = answer.json()
        self.id = self.tokens["session"]["id"]
        self.headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}

    def call(self, method, path, data=None, **more):
        body = "" if data is None else json.dumps(data)
        headers = self.headers | more.pop("headers", {})
        return self.client.generic(method, f"/api{path}", body, JSON, headers=headers, **more)

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def delete(self, path, **more):
        return self.call("DELETE", path, **more)

    @property
    def session(self):
        return UserSession.objects.get(pk=self.id)


def sign_in(username, password="password", client=None, **more):
    body = {"username": username, "password": password}
    return (client or Client()).post("/api/sessions", body, JSON, **more)


def refresh(token, **more):
    return Client().post("/api/sessions/refresh", {"refresh_token": token}, JSON, **more)


def problem(response):
    """The status and code of an answer that is a problem in every respect."""
    body = response.json()
    status, detail = PROBLEMS[body["code"]]
    assert body["status"] == response.status_code == status
    assert body["detail"] == str(detail)
    assert body["type"] == "about:blank"
    assert body["title"] == response.reason_phrase
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "code"}
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    assert response.has_header("WWW-Authenticate") == (status == 401)
    assert response.has_header("Retry-After") == (status == 429)
    assert not any(cookie.value for cookie in response.cookies.values())
    return f"{status} {body['code']}"


def ids(response):
    assert response.status_code == 200, response.content
    return [session["id"] for session in response.json()["items"]]


@pytest.fixture
def app(user):
    return App(user)


@pytest.fixture
def sent():
    """What Django's signals of sign-in and sign-out were sent with."""
    signals = {"logins": user_logged_in, "failures": user_login_failed, "logouts": user_logged_out}
    received = {name: [] for name in signals}
    receivers = {}
    for name, signal in signals.items():

        def receive(sender, signal, _received=received[name], **kwargs):
            _received.append(SimpleNamespace(sender=sender, **kwargs))

        receivers[name] = receive
        signal.connect(receive)
    yield SimpleNamespace(**received)
    for name, signal in signals.items():
        signal.disconnect(receivers[name])


@pytest.fixture
def at_login():
    """Have something done by a receiver of user_logged_in."""
    connected = []

    def connect(do):
        def receive(sender, request, user, **kwargs):
            do(request)

        connected.append(receive)
        user_logged_in.connect(receive)

    yield connect
    for receive in connected:
        user_logged_in.disconnect(receive)


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
        with django_assert_num_queries(2):  # whose address is it, and authenticate()
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
        ("Ada", "password"),
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


MALFORMED = [
    b"{",
    b"not JSON",
    b"\xff\xfe\xfd",
    b'{"username": "ada" "password": "x"}',
    b"username=ada",
    b"[" * 5000,
]
INVALID = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"ada"',
    "a number": b"1",
    "not a number": b"NaN",
    "no members": b"{}",
    "no password": {"username": "ada"},
    "no user name": {"password": "x"},
    "an empty user name": {"username": "", "password": "x"},
    "an empty password": {"username": "ada", "password": ""},
    "a null": {"username": None, "password": "x"},
    "a number for a name": {"username": 1, "password": "x"},
    "a number for a password": {"username": "ada", "password": 1},
    "a list for a name": {"username": ["ada"], "password": "x"},
    "an object for a name": {"username": {"$ne": ""}, "password": "x"},
    "a NUL in the name": {"username": "a\0da", "password": "x"},
    "a name of 255 characters": {"username": "a" * 255, "password": "x"},
    "a name of 10 kB": {"username": "a" * 10_240, "password": "x"},
    "a password of 10 kB": {"username": "ada", "password": "x" * 10_240},
    "half a surrogate pair in the name": b'{"username": "a\\ud800", "password": "x"}',
    "half a surrogate pair in the password": b'{"username": "ada", "password": "\\udfff"}',
    "one member more": {"username": "ada", "password": "password", "is_staff": True},
    "half a surrogate pair for a member": b'{"username": "ada", "password": "password", "\\ud800": 1}',
}


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: body[:12].decode("latin-1"))
@pytest.mark.parametrize("path", ["/api/sessions", "/api/sessions/refresh"])
def test_a_body_that_is_not_json_is_told_so(user, body, path):
    assert problem(Client().post(path, body, JSON)) == "400 malformed_request"


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID)
def test_credentials_of_another_form_are_told_so(body):
    UserFactory(username="ada")
    answer = Client().post("/api/sessions", body, JSON)
    assert problem(answer) == "422 invalid_request"
    assert [set(error) for error in answer.json()["errors"]] == [{"loc", "msg", "type"}] * len(
        answer.json()["errors"]
    )
    assert answer.json()["errors"]
    assert not UserSession.objects.exists()


def test_an_error_repeats_nothing_of_the_body():
    body = {"username": ["name-to-keep"], "password": "secret-to-keep" * 1000, "more": "more-to-keep"}
    answer = Client().post("/api/sessions", body, JSON).content.decode()
    assert "to-keep" not in answer
    answer = Client().post("/api/sessions", '{"password": "secret-to-keep"', JSON).content.decode()
    assert "to-keep" not in answer


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", ["/sessions", "/sessions/refresh"])
def test_a_body_that_is_too_big_is_the_clients_mistake(settings, user, debug, path):
    settings.DEBUG = debug
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    client = Client(raise_request_exception=False)
    answer = client.post(f"/api{path}", {"username": "ada", "password": "x" * 1001}, JSON)
    assert problem(answer) == "413 body_too_large"


def test_big_bodies_are_answered():
    answer = Client().post("/api/sessions", {"username": "a" * 1_000_000, "password": "x"}, JSON)
    assert problem(answer) == "422 invalid_request"
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_json_is_read_whatever_its_content_type(user, content_type):
    body = json.dumps({"username": user.get_username(), "password": "password"})
    assert Client().post("/api/sessions", body, content_type).status_code == 201


def test_a_form_is_not_json(user):
    answer = Client().post("/api/sessions", {"username": user.get_username(), "password": "password"})
    assert problem(answer) == "400 malformed_request"


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


# Refreshing.


def test_refresh_answers_with_the_next_pair(app, later):
    later(1)
    answer = refresh(app.tokens["refresh_token"])
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies
    body = answer.json()
    assert set(body) == set(app.tokens)
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    assert body["session"]["id"] == app.id
    assert body["session"]["is_current"] is True
    assert body["refresh_token"] != app.tokens["refresh_token"]
    assert body["access_token"] != app.tokens["access_token"]
    assert tokens.verify(body["access_token"]).pk == app.session.pk
    assert refresh(body["refresh_token"]).status_code == 200


def test_refresh_tells_nothing_of_why_not(user, settings):
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    app, replayed, revoked, deleted = App(user), App(user), App(user), App(user)
    refresh(replayed.tokens["refresh_token"])
    UserSession.objects.filter(pk=revoked.id).revoke("admin")
    UserSession.objects.filter(pk=deleted.id).delete()
    tried = [
        "",
        "x",
        "\0",
        "\ud83d\ude00",
        "x" * 8192,
        app.tokens["access_token"],
        app.tokens["refresh_token"] + "x",
        app.tokens["refresh_token"][:-1],
        str(app.session.refresh_token_id),
        *(each.tokens["refresh_token"] for each in (replayed, revoked, deleted)),
    ]
    answers = [refresh(token) for token in tried]
    assert {problem(answer) for answer in answers} == {"401 invalid_refresh_token"}
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1
    assert replayed.session.revoked_reason == "refresh_reuse"
    assert app.session.is_active


@pytest.mark.parametrize(
    "body",
    [
        b"",
        {},
        [],
        {"refresh_token": None},
        {"refresh_token": 1},
        {"refresh_token": ["x"]},
        {"refresh_token": "x" * 8193},
        {"refresh_token": "x", "grant_type": "refresh_token"},
    ],
)
def test_a_refresh_of_another_form_is_told_so(body, db):
    assert problem(Client().post("/api/sessions/refresh", body, JSON)) == "422 invalid_request"


def test_half_a_surrogate_pair_is_no_refresh_token(db):
    answer = Client().post("/api/sessions/refresh", b'{"refresh_token": "\\ud800"}', JSON)
    assert problem(answer) in {"401 invalid_refresh_token", "422 invalid_request"}


def test_a_refresh_needs_no_access_token_and_minds_none(app):
    for headers in ({"Authorization": "Bearer wrong"}, app.headers):
        answer = refresh(app.tokens["refresh_token"], headers=headers)
        assert answer.status_code == 200
        app.tokens = answer.json()


# Seeing.


def test_sessions_are_listed_newest_first_and_the_current_one_is_marked(user, later):
    UserSessionFactory()
    apps = []
    for _ in range(3):
        apps.append(App(user))
        later(1)
    answer = apps[1].get("/sessions")
    assert ids(answer) == [apps[2].id, apps[1].id, apps[0].id]
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"items", "count"}
    assert body["count"] == 3
    assert {frozenset(session) for session in body["items"]} == {frozenset(SESSION)}
    assert [session["is_current"] for session in body["items"]] == [False, True, False]
    assert [apps[1].get(f"/sessions/{app.id}").json() for app in reversed(apps)] == body["items"]


def test_sessions_are_listed_by_state(user, app):
    expired, revoked = (
        UserSessionFactory(user=user, expired=True),
        UserSessionFactory(user=user, revoked=True),
    )
    named = {app.id: "active", str(expired.pk): "expired", str(revoked.pk): "revoked"}
    for state in ("active", "expired", "revoked"):
        answer = app.get(f"/sessions?state={state}")
        assert ids(answer) == [pk for pk, of in named.items() if of == state]
        assert {session["state"] for session in answer.json()["items"]} == {state}
    assert {
        session["id"]: session["state"] for session in app.get("/sessions?state=all").json()["items"]
    } == named
    assert ids(app.get("/sessions")) == [app.id]


def test_an_ended_session_tells_when_why_and_by_whom(user, app, later):
    UserSession.objects.filter(pk=UserSessionFactory(user=user).pk).revoke("admin")
    [told] = app.get("/sessions?state=revoked").json()["items"]
    assert (told["revoked_reason"], told["ended_by"]) == ("admin", "admin")
    assert told["revoked_at"].startswith(f"{timezone.now():%Y-%m-%dT%H:%M}")
    current = app.get("/sessions/current").json()
    assert (current["revoked_at"], current["revoked_reason"], current["ended_by"]) == (None, "", None)


def test_an_idle_session_reads_as_expired(user, settings, later):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 600, "TOUCH_INTERVAL": 60}
    idle = App(user)
    later(600)
    app = App(user)
    assert ids(app.get("/sessions?state=expired")) == [idle.id]
    assert app.get(f"/sessions/{idle.id}").json()["state"] == "expired"
    assert problem(idle.get("/sessions/current")) == "401 not_authenticated"


def test_pages_are_bounded_and_leave_nothing_out(user, app):
    UserSessionFactory.create_batch(24, user=user)
    everything = ids(app.get("/sessions?limit=100"))
    assert len(everything) == 25
    assert ids(app.get("/sessions")) == everything[:20]
    assert ids(app.get("/sessions?offset=20")) == everything[20:]
    assert ids(app.get("/sessions?limit=3&offset=23")) == everything[23:]
    for offset in (25, 100_000):
        answer = app.get(f"/sessions?offset={offset}")
        assert (ids(answer), answer.json()["count"]) == ([], 25)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=",
        "limit=x",
        "limit=1.5",
        "limit=9" * 50,
        "offset=-1",
        "offset=100001",
        f"offset={2**63}",
        "offset=%00",
        "state=",
        "state=ACTIVE",
        "state=ended",
        "state=filter",
        "state=%00",
    ],
)
@pytest.mark.parametrize("of", ["own", "a user's"])
def test_a_query_of_another_form_is_told_so(user, target, app, query, of):
    permit(user, "view")
    path = "/sessions" if of == "own" else staff_path(target)
    assert problem(app.get(f"{path}?{query}")) == "422 invalid_request"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_foreign_session_and_an_unknown_one_are_told_apart_by_nobody(app, method):
    theirs = UserSessionFactory()
    ended = UserSessionFactory(revoked=True)
    body = {"is_trusted": True} if method == "PATCH" else None
    answers = [
        app.call(method, f"/sessions/{pk}", body)
        for pk in (theirs.pk, ended.pk, uuid4(), "0" * 32, str(uuid4()).upper())
    ]
    assert {problem(answer) for answer in answers} == {"404 not_found"}
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1
    theirs.refresh_from_db()
    assert theirs.is_active
    assert not theirs.is_trusted


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "session_id", ["x", "1", "%00", "..", "null", "0" * 31, "0" * 33, "%F0%9F%98%80", "'"]
)
def test_what_is_no_id_at_all_is_told_so(app, method, session_id):
    answer = app.call(method, f"/sessions/{session_id}", {"is_trusted": True} if method == "PATCH" else None)
    assert problem(answer) == "422 invalid_request"


def test_the_current_session_is_the_one_that_asks(client, user, app):
    own = log_in(client, user)
    by_cookie, by_token = client.get("/api/sessions/current"), app.get("/sessions/current")
    assert (by_cookie.json()["id"], by_token.json()["id"]) == (str(own.pk), app.id)
    assert by_cookie.json()["is_current"] is by_token.json()["is_current"] is True
    assert by_token["Cache-Control"] == by_cookie["Cache-Control"] == "no-store"
    assert client.get(f"/api/sessions/{app.id}").json()["is_current"] is False


# Trusting.


@pytest.mark.parametrize("which", ["own", "another"])
def test_a_device_is_trusted_and_not_any_more(user, app, which):
    session = app.session if which == "own" else UserSessionFactory(user=user)
    for value in (True, True, False):
        answer = app.call("PATCH", f"/sessions/{session.pk}", {"is_trusted": value})
        assert (answer.status_code, answer.json()["is_trusted"]) == (200, value)
        assert set(answer.json()) == SESSION
        session.refresh_from_db()
        assert session.is_trusted is value


@pytest.mark.parametrize("trait", ["revoked", "expired"])
def test_an_ended_session_is_trusted_no_more(user, app, trait):
    ended = UserSessionFactory(user=user, **{trait: True})
    assert problem(app.call("PATCH", f"/sessions/{ended.pk}", {"is_trusted": True})) == "404 not_found"
    ended.refresh_from_db()
    assert not ended.is_trusted


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"is_trusted": None},
        {"is_trusted": 1},
        {"is_trusted": "true"},
        {"is_trusted": True, "expires_at": "2999-01-01T00:00:00Z"},
        {"is_trusted": True, "user": 1},
        {"revoked_at": None},
    ],
)
def test_nothing_but_trust_is_changed(app, body):
    before = app.get("/sessions/current").json()
    assert problem(app.call("PATCH", f"/sessions/{app.id}", body)) == "422 invalid_request"
    assert app.get("/sessions/current").json() == before


def test_a_change_that_is_not_json_is_told_so(app):
    answer = app.client.patch(f"/api/sessions/{app.id}", "{", JSON, headers=app.headers)
    assert problem(answer) == "400 malformed_request"


# Ending.


def test_signing_out_by_token_ends_the_session_and_no_other(user, app, sent):
    other = App(user)
    answer = app.delete("/sessions/current")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Cache-Control"] == "no-store"
    assert app.session.revoked_reason == "logout"
    assert problem(app.get("/sessions/current")) == "401 not_authenticated"
    assert problem(refresh(app.tokens["refresh_token"])) == "401 invalid_refresh_token"
    assert other.get("/sessions/current").status_code == 200
    assert [(s.user, s.request.path) for s in sent.logouts] == [(user, "/api/sessions/current")]
    assert app.session.revoked_reason == "logout"


def test_signing_out_by_cookie_ends_the_session_and_clears_the_cookie(client, user, engine, sent):
    own, app = log_in(client, user), App(user)
    old = client.cookies["sessionid"].value
    answer = client.delete("/api/sessions/current")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.cookies["sessionid"]["max-age"] == 0
    assert answer["Cache-Control"] == "no-store"
    own.refresh_from_db()
    assert own.revoked_reason == "logout"
    client.cookies["sessionid"] = old
    assert client.get("/who/").content == b"nobody"
    assert problem(client.get("/api/sessions/current")) == "401 not_authenticated"
    assert app.get("/sessions/current").status_code == 200
    assert [(s.user, s.request.path) for s in sent.logouts] == [(user, "/api/sessions/current")]


def test_signing_out_by_token_leaves_the_browser_that_asks_signed_in(client, user, app):
    own = log_in(client, user)
    answer = client.delete("/api/sessions/current", headers=app.headers)
    assert answer.status_code == 204
    assert not answer.cookies
    assert app.session.revoked_reason == "logout"
    assert client.get("/row/").content.decode() == str(own.pk)


def test_ending_the_current_session_by_its_id_is_signing_out(client, user, app, sent):
    own = log_in(client, user)
    answer = client.delete(f"/api/sessions/{own.pk}")
    assert answer.status_code == 204
    assert answer.cookies["sessionid"]["max-age"] == 0
    assert app.delete(f"/sessions/{app.id}").status_code == 204
    own.refresh_from_db()
    assert own.revoked_reason == app.session.revoked_reason == "logout"
    assert problem(app.get("/sessions")) == "401 not_authenticated"
    assert [s.user for s in sent.logouts] == [user, user]


def test_one_session_is_ended_from_another(client, user, app):
    own, other = log_in(client, user), App(user)
    for pk in (own.pk, other.id):
        answer = app.delete(f"/sessions/{pk}")
        assert (answer.status_code, answer.content) == (204, b"")
    own.refresh_from_db()
    assert own.revoked_reason == other.session.revoked_reason == "user"
    assert client.get("/who/").content == b"nobody"
    assert problem(other.get("/sessions/current")) == "401 not_authenticated"
    assert app.get("/sessions/current").status_code == 200


@pytest.mark.parametrize("trait", ["revoked", "expired"])
def test_ending_an_ended_session_keeps_what_it_was(user, app, trait):
    ended = UserSessionFactory(user=user, **{trait: True})
    if trait == "revoked":
        UserSession.objects.filter(pk=ended.pk).update(revoked_reason="stolen")
    for _ in range(2):
        assert app.delete(f"/sessions/{ended.pk}").status_code == 204
    told = app.get(f"/sessions/{ended.pk}").json()
    assert (told["state"], told["revoked_reason"]) == {
        "revoked": ("revoked", "stolen"),
        "expired": ("expired", ""),
    }[trait]


def test_all_other_sessions_are_ended(client, user, app):
    log_in(client, user)
    others = [App(user), App(user)]
    theirs = UserSessionFactory()
    revoked = UserSessionFactory(user=user, revoked=True)
    expired = UserSessionFactory(user=user, expired=True)
    answer = app.delete("/sessions")
    assert (answer.status_code, answer.json()) == (200, {"revoked": 3})
    assert answer["Cache-Control"] == "no-store"
    assert {other.session.revoked_reason for other in others} == {"user"}
    assert client.get("/who/").content == b"nobody"
    assert app.get("/sessions/current").status_code == 200
    assert app.delete("/sessions").json() == {"revoked": 0}
    for untouched in (theirs, revoked, expired):
        before = untouched.revoked_at
        untouched.refresh_from_db()
        assert untouched.revoked_at == before


# An administrator.


def permit(user, *actions):
    codenames = [f"{action}_usersession" for action in actions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def staff_path(user, session=None):
    path = f"/users/{user.pk}/sessions"
    return f"{path}/{session.pk}" if session else path


@pytest.fixture
def target(db):
    return UserFactory()


STAFF = {"list": ("GET", False), "revoke all": ("DELETE", False), "revoke one": ("DELETE", True)}


def unknown_ids():
    kind = get_user_model()._meta.pk.get_internal_type()
    always = [
        "%00",
        "a%00b",
        "a%0Ab",
        "a/b",
        "/",
        "%F0%9F%98%80",
        "-1",
        "0",
        "x",
        "x" * 5000,
        "None",
        "1.5",
        "1e3",
        "9" * 30,
        "9" * 5000,
        "-" + "9" * 30,
    ]
    return always + {
        "UUIDField": [str(uuid4()), "0" * 32, "0" * 33],
        "CharField": ["nobody", "\u0660"],
    }.get(kind, [str(2**31), str(2**63), str(-(2**63) - 1), str(uuid4()), "987654321"])


@pytest.mark.parametrize("what", STAFF)
def test_each_operation_on_a_user_needs_its_permission(target, what):
    method, is_one = STAFF[what]
    needed = "view" if method == "GET" else "revoke"
    session = UserSessionFactory(user=target)
    path = staff_path(target, session if is_one else None)
    for actions in ((), ({"view", "revoke"} - {needed}), ("add", "change", "delete")):
        answer = App(permit(UserFactory(is_staff=True), *actions)).call(method, path)
        assert problem(answer) == "403 permission_denied"
    session.refresh_from_db()
    assert session.is_active
    assert App(permit(UserFactory(), needed)).call(method, path).status_code in {200, 204}
    assert App(UserFactory(is_superuser=True)).call(method, path).status_code in {200, 204}


@pytest.mark.parametrize("what", STAFF)
def test_without_the_permission_no_user_is_known_from_an_unknown_one(target, what):
    method, is_one = STAFF[what]
    app = App(UserFactory())
    pk = UserSessionFactory(user=target).pk if is_one else None
    end = f"/{pk}" if is_one else ""
    answers = [app.call(method, f"/users/{user_id}/sessions{end}") for user_id in (target.pk, *unknown_ids())]
    assert {problem(answer) for answer in answers} == {"403 permission_denied"}
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1


@pytest.mark.parametrize("what", STAFF)
def test_an_unknown_user_has_no_sessions(target, what, transactional_db):
    method, is_one = STAFF[what]
    app = App(permit(UserFactory(), "view", "revoke"))
    end = f"/{UserSessionFactory(user=target).pk}" if is_one else ""
    for user_id in unknown_ids():
        assert problem(app.call(method, f"/users/{user_id}/sessions{end}")) == "404 not_found", user_id[:50]
    assert UserSession.objects.for_user(target).active().count() == int(is_one)


def test_a_user_whom_the_projects_manager_hides_is_unknown(target, monkeypatch):
    class WithoutHidden(UserManager):
        def get_queryset(self):
            return super().get_queryset().exclude(first_name="hidden")

    manager = WithoutHidden()
    manager.model = get_user_model()
    monkeypatch.setitem(vars(get_user_model()._meta), "default_manager", manager)
    app, session = App(permit(UserFactory(), "view", "revoke")), UserSessionFactory(user=target)
    assert ids(app.get(staff_path(target))) == [str(session.pk)]
    get_user_model()._base_manager.filter(pk=target.pk).update(first_name="hidden")
    for method, is_one in STAFF.values():
        answer = app.call(method, staff_path(target, session if is_one else None))
        assert problem(answer) == "404 not_found"
    session.refresh_from_db()
    assert session.is_active


def test_without_signing_in_no_user_is_known(target):
    for path in (staff_path(target), "/users/x/sessions"):
        assert problem(Client().get(f"/api{path}")) == "401 not_authenticated"
        assert problem(Client().delete(f"/api{path}")) == "401 not_authenticated"


def test_an_administrator_lists_a_users_sessions(target):
    app, browser = App(permit(UserFactory(), "view")), Client()
    log_in(browser, permit(UserFactory(), "view"))
    sessions = [UserSessionFactory(user=target), UserSessionFactory(user=target, revoked=True)]
    active, everything = app.get(staff_path(target)), app.get(staff_path(target) + "?state=all&limit=1")
    assert ids(active) == [str(sessions[0].pk)]
    assert active.json()["items"][0]["is_current"] is False
    assert (ids(everything), everything.json()["count"]) == ([str(sessions[1].pk)], 2)
    assert browser.get(f"/api{staff_path(target)}").json() == active.json()


def test_an_administrator_ends_one_session_of_a_user(target):
    app, phone, tablet = App(permit(UserFactory(), "revoke")), App(target), App(target)
    assert app.delete(staff_path(target, phone.session)).status_code == 204
    assert phone.session.revoked_reason == "admin"
    assert problem(phone.get("/sessions")) == "401 not_authenticated"
    assert tablet.get("/sessions").status_code == 200
    assert app.delete(staff_path(target, phone.session)).status_code == 204
    theirs = UserSessionFactory()
    answers = [app.delete(f"{staff_path(target)}/{pk}") for pk in (theirs.pk, uuid4())]
    assert {problem(answer) for answer in answers} == {"404 not_found"}
    assert answers[0].content == answers[1].content
    theirs.refresh_from_db()
    assert theirs.is_active
    assert problem(app.delete(f"{staff_path(target)}/x")) == "422 invalid_request"


def test_an_administrator_signs_a_user_out_everywhere(target):
    app, phones = App(permit(UserFactory(), "revoke")), [App(target), App(target)]
    UserSessionFactory(user=target, expired=True)
    assert app.delete(staff_path(target)).json() == {"revoked": 2}
    assert app.delete(staff_path(target)).json() == {"revoked": 0}
    assert {phone.session.revoked_reason for phone in phones} == {"admin"}
    assert {phone.get("/sessions").status_code for phone in phones} == {401}
    assert app.get("/sessions").status_code == 200


def test_a_permission_that_is_taken_away_is_gone_at_once(target):
    user = permit(UserFactory(), "view")
    app = App(user)
    assert app.get(staff_path(target)).status_code == 200
    permit(user)
    assert problem(app.get(staff_path(target))) == "403 permission_denied"


@pytest.mark.skipif(
    "get_user_model()._meta.pk.get_internal_type() != 'CharField'", reason="only a text has a slash"
)
@pytest.mark.parametrize("key", ["team/ada", "team/sessions", "team/sessions/ada", "/", "ada\nbyron"])
def test_a_user_is_reached_whatever_the_key_is_like(key):
    target, other = UserFactory(id=key), UserSessionFactory(user=UserFactory(id="team"))
    sessions = [UserSessionFactory(user=target), UserSessionFactory(user=target)]
    app = App(permit(UserFactory(), "view", "revoke"))
    for path in (f"/users/{quote(key)}/sessions", f"/users/{quote(key, safe='')}/sessions"):
        assert ids(app.get(path)) == [str(session.pk) for session in reversed(sessions)]
        assert app.delete(f"{path}/{sessions.pop().pk}").status_code == 204
    sessions = [UserSessionFactory(user=target), UserSessionFactory(user=target)]
    assert app.delete(path).json() == {"revoked": 2}
    other.refresh_from_db()
    assert other.is_active


# Who calls: by token, by cookie, by both, by neither.

CALLS = {
    "list": ("GET", "/sessions", None),
    "current": ("GET", "/sessions/current", None),
    "one": ("GET", "/sessions/{id}", None),
    "trust": ("PATCH", "/sessions/{id}", {"is_trusted": True}),
    "end one": ("DELETE", "/sessions/{id}", None),
    "end others": ("DELETE", "/sessions", None),
    "sign out": ("DELETE", "/sessions/current", None),
    "list of user": ("GET", "/users/{user}/sessions", None),
    "end all of user": ("DELETE", "/users/{user}/sessions", None),
    "end one of user": ("DELETE", "/users/{user}/sessions/{id}", None),
}
UNSAFE = [name for name, (method, *_) in CALLS.items() if method != "GET"]
CSRF = "c" * 32


def call(name, client, target, session, **more):
    method, path, data = CALLS[name]
    path = path.format(id=session.pk, user=target.pk)
    return client.generic(method, f"/api{path}", json.dumps(data) if data else "", JSON, **more)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "bearer x y",
        "Bearer \u00e9",
        "Basic YWRhOmFkYQ==",
        "Token x",
        "Negotiate",
    ],
)
def test_without_credentials_that_hold_it_is_401_whatever_it_is(target, name, authorization):
    session = UserSessionFactory(user=target)
    client = Client(enforce_csrf_checks=True)
    headers = {} if authorization is None else {"Authorization": authorization}
    assert problem(call(name, client, target, session, headers=headers)) == "401 not_authenticated"
    session.refresh_from_db()
    assert session.is_active


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, "Bearer"),
        ("Basic YWRhOmFkYQ==", "Bearer"),  # RFC 6750, 3.1: no error code where there was no token
        ("Bearer x", 'Bearer error="invalid_token"'),
        ("Bearer", 'Bearer error="invalid_token"'),
    ],
)
def test_a_401_says_how_to_authenticate(authorization, challenge):
    headers = {} if authorization is None else {"Authorization": authorization}
    assert Client().get("/api/sessions", headers=headers)["WWW-Authenticate"] == challenge


def test_a_wrong_password_is_no_wrong_token():
    assert sign_in("ada", "x")["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("name", UNSAFE)
def test_a_call_by_cookie_needs_the_csrf_token(target, name):
    user = permit(UserFactory(), "view", "revoke")
    client = Client(enforce_csrf_checks=True)
    own = log_in(client, user)
    session = UserSessionFactory(user=target if "user" in name else user)
    assert problem(call(name, client, target, session)) == "403 csrf_failed"
    client.cookies["csrftoken"] = CSRF
    assert problem(call(name, client, target, session)) == "403 csrf_failed"
    assert (
        problem(call(name, client, target, session, headers={"X-CSRFToken": "d" * 32})) == "403 csrf_failed"
    )
    for row in (own, session):
        row.refresh_from_db()
        assert row.is_active
        assert not row.is_trusted
    answer = call(name, client, target, session, headers={"X-CSRFToken": CSRF})
    assert answer.status_code in {200, 204}


@pytest.mark.parametrize("name", UNSAFE)
def test_a_call_from_another_site_is_refused_over_https(target, name):
    user = permit(UserFactory(), "view", "revoke")
    client = Client(enforce_csrf_checks=True)
    log_in(client, user)
    client.cookies["csrftoken"] = CSRF
    session = UserSessionFactory(user=target if "user" in name else user)
    headers = {"X-CSRFToken": CSRF, "Origin": "https://evil.example", "Host": "localhost"}
    answer = call(name, client, target, session, headers=headers, secure=True)
    assert problem(answer) == "403 csrf_failed"


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("has_cookie", [False, True])
def test_a_call_by_token_needs_no_csrf_token(target, name, has_cookie):
    user = permit(UserFactory(), "view", "revoke")
    client = Client(enforce_csrf_checks=True)
    if has_cookie:
        log_in(client, UserFactory())
    app = App(user)
    session = UserSessionFactory(user=target if "user" in name else user)
    answer = call(name, client, target, session, headers=app.headers)
    assert answer.status_code in {200, 204}


def test_a_session_kept_csrf_token_works_too(settings, user):
    settings.CSRF_USE_SESSIONS = True
    client = Client(enforce_csrf_checks=True)
    log_in(client, user)
    assert problem(client.delete("/api/sessions")) == "403 csrf_failed"
    client.get(f"/put/?key=_csrftoken&value={CSRF}")
    assert client.delete("/api/sessions", headers={"X-CSRFToken": CSRF}).json() == {"revoked": 0}


def test_signing_in_by_the_api_needs_no_csrf_token(user):
    assert sign_in(user.get_username(), client=Client(enforce_csrf_checks=True)).status_code == 201


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_token_never_falls_back_to_the_cookie(target, name):
    user = permit(UserFactory(), "view", "revoke")
    client = Client()
    own = log_in(client, user)
    expired = App(user)
    expired.delete("/sessions/current")
    session = UserSessionFactory(user=target if "user" in name else user)
    for authorization in ("Bearer x", "bearer", "BEARER  x", expired.headers["Authorization"]):
        answer = call(name, client, target, session, headers={"Authorization": authorization})
        assert problem(answer) == "401 not_authenticated"
    for row in (own, session):
        row.refresh_from_db()
        assert row.is_active


def test_the_password_of_a_proxy_in_front_does_not_hide_the_cookie(client, user):
    own = log_in(client, user)
    answer = client.get("/api/sessions/current", headers={"Authorization": "Basic YWRhOmFkYQ=="})
    assert answer.json()["id"] == str(own.pk)


def test_with_both_the_token_tells_who_asks(client, user, app):
    log_in(client, UserFactory())
    assert client.get("/api/sessions/current", headers=app.headers).json()["id"] == app.id
    assert ids(client.get("/api/sessions", headers=app.headers)) == [app.id]


def named_by_a_header(get_response):
    """Another kind of login, whose middleware sets the user."""

    def call(request):
        if name := request.headers.get("X-User"):
            request.user = get_user_model().objects.get_by_natural_key(name)
        return get_response(request)

    return call


@pytest.mark.parametrize("position", [2, 3])
@pytest.mark.parametrize("name", CALLS)
def test_a_user_whom_another_middleware_set_gets_nobody_elses_row(client, target, settings, name, position):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE]
    settings.MIDDLEWARE.insert(position, f"{__name__}.named_by_a_header")
    other = permit(UserFactory(), "view", "revoke")
    own = log_in(client, target)
    headers = {"X-User": other.get_username()}
    assert problem(call(name, client, target, own, headers=headers)) == "401 not_authenticated"
    assert problem(call(name, Client(), target, own, headers=headers)) == "401 not_authenticated"
    own.refresh_from_db()
    assert own.is_active
    assert not own.is_trusted
    headers = {"X-User": target.get_username()}
    assert client.get("/api/sessions/current", headers=headers).json()["id"] == str(own.pk)


# Operations of the project's own, sync and async.


def visit(method, path, cookies=None, headers=None, **options):
    """A call through the sync stack and the same through the async one: their answers, which agree."""
    sync, twin = Client(**options), AsyncClient(**options)
    if cookies:
        sync.cookies, twin.cookies = cookies, cookies
    in_sync, in_async = getattr(sync, method), async_to_sync(getattr(twin, method))
    answer = in_sync(f"/api{path}", headers=headers or {})
    async_answer = in_async(f"/api/a{path[1:]}", headers=headers or {})
    crossed = in_async(f"/api{path}", headers=headers or {})
    assert answer.status_code == async_answer.status_code == crossed.status_code
    assert answer.content == async_answer.content == crossed.content
    return answer


@pytest.mark.parametrize("way", AUTH)
def test_who_asks_an_operation_of_the_projects_own(client, user, app, way):
    own = log_in(client, user)
    by_token = visit("get", f"/{way}", headers=app.headers)
    by_cookie = visit("get", f"/{way}", cookies=client.cookies)
    by_both = visit("get", f"/{way}", cookies=client.cookies, headers=app.headers)
    token = {"user": user.get_username(), "session": app.id}
    cookie = token | {"session": str(own.pk)}
    expected = {
        "both": (token, cookie, token),
        "reversed": (token, cookie, token),
        "bearer": (token, None, token),
        "cookie": (None, cookie, None),
    }[way]
    for answer, told in zip((by_token, by_cookie, by_both), expected, strict=True):
        assert answer.status_code == (200 if told else 401)
        assert not told or answer.json() == told
    for headers in ({}, {"Authorization": "Bearer x"}):
        assert visit("get", f"/{way}", headers=headers).status_code == 401
    assert (
        visit("get", f"/{way}", cookies=client.cookies, headers={"Authorization": "Bearer x"}).status_code
        == 401
    )


@pytest.mark.parametrize("way", AUTH)
def test_an_operation_of_the_projects_own_holds_csrf_against_cookies_alone(client, user, app, way):
    log_in(client, user)
    strict = {"enforce_csrf_checks": True}
    by_cookie = visit("post", f"/{way}", cookies=client.cookies, **strict)
    assert by_cookie.status_code == (401 if way == "bearer" else 403)
    by_token = visit("post", f"/{way}", headers=app.headers, **strict)
    assert by_token.status_code == (401 if way == "cookie" else 200)
    assert visit("post", f"/{way}", **strict).status_code == 401
    client.cookies["csrftoken"] = CSRF
    proven = visit("post", f"/{way}", cookies=client.cookies, headers={"X-CSRFToken": CSRF}, **strict)
    assert proven.status_code == (401 if way == "bearer" else 200)


@pytest.mark.parametrize("theirs", ["same user", "another user", "revoked", "none"])
def test_an_operation_that_reads_the_browsers_data_is_still_the_tokens(client, user, app, theirs):
    if theirs != "none":
        own = log_in(client, UserFactory() if theirs == "another user" else user)
    if theirs == "revoked":
        UserSession.objects.filter(pk=own.pk).revoke("admin")
    answer = client.get("/api/basket", headers=app.headers)
    assert answer.status_code == 200
    assert answer.json() == {"user": user.get_username(), "session": app.id}


@pytest.mark.parametrize("theirs", ["same user", "revoked"])
def test_a_receiver_that_reads_the_browsers_data_does_not_turn_the_sign_out_on_it(client, user, app, theirs):
    own = log_in(client, user)
    if theirs == "revoked":
        UserSession.objects.filter(pk=own.pk).revoke("admin")

    def read(sender, request, **kwargs):
        request.session.get("basket")

    user_logged_out.connect(read)
    try:
        answer = client.delete("/api/sessions/current", headers=app.headers)
    finally:
        user_logged_out.disconnect(read)
    assert answer.status_code == 204
    assert app.session.revoked_reason == "logout"
    own.refresh_from_db()
    assert own.is_active is (theirs == "same user")


def test_an_operation_of_the_projects_own_may_sign_the_browser_in(user, app):
    client = Client()
    answer = client.post("/api/cookie-for-bearer", headers=app.headers)
    assert answer.status_code == 200
    session = UserSession.objects.exclude(pk=app.id).get()
    assert client.get("/row/").content.decode() == str(session.pk)
    assert app.get("/sessions/current").json()["id"] == app.id


# What a call costs, and how soon an end bites.


def test_a_call_by_token_costs_one_select(user, app, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert app.get("/sessions/current").status_code == 200
    with django_assert_num_queries(1):
        assert app.get("/bearer").status_code == 200
    with django_assert_num_queries(1):
        assert app.get("/both").status_code == 200
    with django_assert_num_queries(3):  # and the page and its count
        assert app.get("/sessions").status_code == 200
    with django_assert_num_queries(0):
        assert app.get("/sessions", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_call_by_cookie_costs_what_a_view_does(client, user, django_assert_num_queries):
    log_in(client, user)
    with django_assert_num_queries(2):  # Django's session, and ours with the user
        assert client.get("/api/sessions/current").status_code == 200
    with django_assert_num_queries(4):
        assert client.get("/api/sessions").status_code == 200
    with django_assert_num_queries(0):
        assert Client().get("/api/sessions").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_activity_is_recorded_once_per_interval(user, later, receiver_of, django_assert_num_queries):
    app = App(user, REMOTE_ADDR="192.0.2.1")
    changed = receiver_of(session_client_changed)
    later(59)
    with django_assert_num_queries(1):
        app.get("/sessions/current")
    later(1)
    with django_assert_num_queries(2):
        app.get("/sessions/current", REMOTE_ADDR="198.51.100.7")
    assert app.session.last_activity_at == timezone.now()
    assert app.session.last_ip_address == "198.51.100.7"
    assert [(sent["previous_ip_address"], sent["ip_address"]) for sent in changed] == [
        ("192.0.2.1", "198.51.100.7")
    ]
    with django_assert_num_queries(1):
        app.get("/sessions/current")
    later(60)
    with CaptureQueriesContext(connection) as queries:
        assert async_to_sync(AsyncClient().get)("/api/aboth", headers=app.headers).status_code == 200
    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "UPDATE"]
    assert app.session.last_activity_at == timezone.now()


@pytest.mark.django_db(transaction=True)
def test_activity_is_recorded_after_the_transaction_of_the_request(user, app, later, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    later(60)
    with CaptureQueriesContext(connection) as queries:
        assert app.get("/sessions/current").status_code == 200
    assert [query["sql"].split()[0] for query in queries] == ["BEGIN", "SELECT", "COMMIT", "UPDATE"]
    assert app.session.last_activity_at == timezone.now()


@pytest.mark.django_db(transaction=True)
def test_the_api_works_in_the_transaction_of_the_request(user, settings, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2, "ON_LIMIT": "deny", "REFRESH_GRACE": 0}
    app, other = App(user), App(user)
    assert problem(sign_in(user.get_username())) == "403 session_limit_reached"
    assert problem(sign_in(user.get_username(), "wrong")) == "401 invalid_credentials"
    assert UserSession.objects.active().count() == 2
    used = app.tokens["refresh_token"]
    assert refresh(used).status_code == 200
    assert problem(refresh(used)) == "401 invalid_refresh_token"
    assert app.session.revoked_reason == "refresh_reuse"
    assert other.delete("/sessions/current").status_code == 204
    assert other.session.revoked_reason == "logout"
    staff = App(permit(UserFactory(), "view"))
    for user_id in unknown_ids():
        assert problem(staff.get(f"/users/{user_id}/sessions")) == "404 not_found"


def by_revoke(user):
    UserSession.objects.for_user(user).revoke("stolen")


def by_deletion_of_the_row(user):
    UserSession.objects.for_user(user).delete()


def by_expiry(user):
    UserSession.objects.for_user(user).update(expires_at=timezone.now() - timedelta(seconds=1))


def by_password(user):
    user.set_password("another")
    user.save()


def by_raw_password(user):
    get_user_model().objects.filter(pk=user.pk).update(password="!")


def by_deactivation(user):
    user.is_active = False
    user.save()


def by_raw_deactivation(user):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)


def by_deletion(user):
    user.delete()


ENDS = [
    by_revoke,
    by_deletion_of_the_row,
    by_expiry,
    by_password,
    by_raw_password,
    by_deactivation,
    by_raw_deactivation,
    by_deletion,
]


@pytest.mark.parametrize("end", ENDS)
def test_an_end_bites_at_the_next_call(user, app, end):
    assert app.get("/both").status_code == 200
    end(user)
    assert app.get("/both").status_code == app.get("/aboth").status_code == 401
    assert problem(app.get("/sessions")) == "401 not_authenticated"
    assert problem(app.delete("/sessions")) == "401 not_authenticated"
    assert problem(refresh(app.tokens["refresh_token"])) == "401 invalid_refresh_token"
    assert not UserSession.objects.active().exists() or end is by_raw_password


def test_an_access_token_is_good_for_its_lifetime(user, later, settings):
    settings.SESSIONS_EXT = {"ACCESS_TOKEN_LIFETIME": 60}
    app = App(user)
    assert app.tokens["expires_in"] == 60
    later(59)
    assert app.get("/sessions").status_code == 200
    later(1)
    assert problem(app.get("/sessions")) == "401 not_authenticated"
    assert refresh(app.tokens["refresh_token"]).status_code == 200


def test_a_login_that_renews_the_hash_of_the_password_gives_tokens_that_work(user, settings):
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    old = user.password
    app = App(user)
    user.refresh_from_db()
    assert user.password != old
    assert app.get("/sessions").status_code == 200
    assert refresh(app.tokens["refresh_token"]).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [False, True])
def test_activity_that_cannot_be_recorded_fails_no_call(user, app, later, monkeypatch, atomic):
    def fail(*args):
        raise OperationalError("the disk is full")

    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", atomic)
    monkeypatch.setattr("sessions_ext.hot.touch", fail)
    later(60)
    assert app.get("/sessions/current").status_code == 200
    assert app.get("/bearer").status_code == 200
    if not atomic:  # which Django does not have for async views
        assert async_to_sync(AsyncClient().get)("/api/abearer", headers=app.headers).status_code == 200


# What is written down.


def test_no_log_line_holds_a_secret(user, settings, caplog):
    settings.DEBUG = True
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    caplog.set_level("DEBUG")
    app = App(user)
    sign_in(user.get_username(), "a-wrong-password")
    Client().post("/api/sessions", '{"password": "a-wrong-password"', JSON)
    app.get("/sessions")
    for authorization in ("Basic a-wrong-password", "Bearer a-wrong-password", "a-wrong-password"):
        app.get("/sessions", headers={"Authorization": authorization})
    for _ in range(2):
        refresh(app.tokens["refresh_token"])
    logged = [record for record in caplog.records if not record.name.startswith("django.db")]
    assert "refresh token used twice" in str([record.getMessage() for record in logged])
    written = "".join(f"{record.getMessage()} {vars(record)}" for record in logged)
    for secret in (app.tokens["access_token"], app.tokens["refresh_token"], "a-wrong-password"):
        assert secret not in written
        assert secret.rpartition(".")[2] not in written


@pytest.mark.parametrize("way", ["login", "authenticate", "refresh", "by token", "sign out"])
def test_the_report_of_an_error_holds_no_secret(user, app, at_login, monkeypatch, way):
    """As it is mailed to the administrators, with the variables of each frame."""
    reports = []

    def report(sender, request, **kwargs):
        reporter = ExceptionReporter(request, *sys.exc_info(), is_email=True)
        reports.append(reporter.get_traceback_html() + reporter.get_traceback_text())

    def fail(*args, **kwargs):
        raise OperationalError("the database went away")

    got_request_exception.connect(report)
    client = Client(raise_request_exception=False)
    try:
        if way == "login":
            at_login(fail)
            answer = sign_in(user.get_username(), client=client)
        elif way == "authenticate":
            monkeypatch.setattr("django.contrib.auth.backends.ModelBackend.user_can_authenticate", fail)
            answer = sign_in(user.get_username(), "password", client=client)
        else:
            monkeypatch.setattr("sessions_ext.managers.UserSessionManager.verify", fail)
            body = {"refresh_token": app.tokens["refresh_token"]}
            if way == "refresh":
                answer = client.post("/api/sessions/refresh", body, JSON)
            else:
                method = client.get if way == "by token" else client.delete
                answer = method("/api/sessions/current", headers=app.headers)
    finally:
        got_request_exception.disconnect(report)
    assert answer.status_code == 500
    assert "went away" not in answer.content.decode()
    [written] = reports
    assert "the database went away" in written
    for token in (app.tokens["access_token"], app.tokens["refresh_token"]):
        assert token not in written
    if way == "login":  # in an error of Django's own authenticate() its own frames tell
        assert "&#x27;password&#x27;" not in written


# Lockout apps.


@pytest.fixture
def axes(settings):
    settings.AXES_ENABLED = True
    settings.AXES_FAILURE_LIMIT = 3
    settings.AXES_LOCKOUT_PARAMETERS = ["username"]
    settings.AXES_RESET_ON_SUCCESS = True
    settings.AUTHENTICATION_BACKENDS = [
        "axes.backends.AxesStandaloneBackend",
        "django.contrib.auth.backends.ModelBackend",
    ]


def test_axes_locks_an_account_out_after_failures(axes):
    UserFactory(username="ada", email="ada@example.org")
    UserFactory(username="bob")
    for name in ("ada", "ada@example.org", "ada"):
        assert problem(sign_in(name, "wrong")) == "401 invalid_credentials"
    for name in ("ada", "ada@example.org"):
        assert problem(sign_in(name)) == "401 invalid_credentials"
    assert not UserSession.objects.exists()
    assert sign_in("bob").status_code == 201
    AccessAttempt.objects.all().delete()
    assert sign_in("ada").status_code == 201


def test_axes_forgets_failures_at_a_success(axes):
    user = UserFactory(username="ada")
    for _ in range(3):
        for _ in range(2):
            assert problem(sign_in("ada", "wrong")) == "401 invalid_credentials"
        assert App(user).get("/sessions").status_code == 200
        assert not AccessAttempt.objects.exists()


# Throttling.


@pytest.fixture
def rates(settings):
    def rates(**of_scopes):
        settings.NINJA_DEFAULT_THROTTLE_RATES = of_scopes

    return rates


def knock(path="/sessions", **more):
    """A call that is throttled or else told that its body is wrong; no query either way."""
    return problem(Client().post(f"/api{path}", {}, JSON, **more))


def test_without_a_rate_nothing_is_throttled(rates):
    rates()
    assert {knock(path) for path in ("/sessions", "/sessions/refresh") for _ in range(50)} == {
        "422 invalid_request"
    }


def test_too_many_logins_are_told_when_to_come_back(user, rates, later):
    rates(sessions_login="2/min")
    assert sign_in(user.get_username()).status_code == 201
    later(10)
    assert problem(sign_in(user.get_username(), "wrong")) == "401 invalid_credentials"
    later(10)
    answer = sign_in(user.get_username())
    assert problem(answer) == "429 throttled"
    assert answer["Retry-After"] == "40"
    assert UserSession.objects.count() == 1
    later(39)
    assert problem(sign_in(user.get_username())) == "429 throttled"
    later(1)
    assert sign_in(user.get_username()).status_code == 201


def test_refreshes_are_counted_apart_from_logins(rates):
    rates(sessions_login="1/min", sessions_refresh="2/min")
    assert [knock() for _ in range(2)] == ["422 invalid_request", "429 throttled"]
    assert [knock("/sessions/refresh") for _ in range(3)] == ["422 invalid_request"] * 2 + ["429 throttled"]
    rates(sessions_refresh="1/min")
    assert knock() == "422 invalid_request"


def test_addresses_are_counted_apart_and_a_forged_header_is_no_address(rates):
    rates(sessions_login="1/min")
    assert knock(REMOTE_ADDR="192.0.2.1") == "422 invalid_request"
    for forged in ("198.51.100.1", "198.51.100.2, 192.0.2.9", "x", ""):
        for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
            assert knock(REMOTE_ADDR="192.0.2.1", headers={header: forged}) == "429 throttled"
    assert knock(REMOTE_ADDR="192.0.2.1:4711") == "429 throttled"
    assert knock(REMOTE_ADDR="192.0.2.2") == "422 invalid_request"
    assert knock(REMOTE_ADDR="2001:db8::1") == "422 invalid_request"


def test_behind_a_trusted_proxy_the_client_is_counted(rates, settings):
    settings.SESSIONS_EXT = {"TRUSTED_PROXIES": 1}
    rates(sessions_login="1/min")

    def through_proxy(forwarded):
        return knock(REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": forwarded})

    assert through_proxy("192.0.2.1") == "422 invalid_request"
    assert through_proxy("198.51.100.1, 192.0.2.1") == "429 throttled"
    assert through_proxy("192.0.2.2") == "422 invalid_request"


def third_address(request):
    return "192.0.2.3"


def test_the_projects_own_idea_of_an_address_is_what_is_counted(rates, settings):
    settings.SESSIONS_EXT = {"CLIENT_IP": f"{__name__}.third_address"}
    sys.modules.setdefault(__name__, sys.modules[third_address.__module__])
    rates(sessions_login="1/min")
    assert knock(REMOTE_ADDR="192.0.2.1") == "422 invalid_request"
    assert knock(REMOTE_ADDR="192.0.2.2") == "429 throttled"


def test_the_addresses_of_one_network_of_ipv6_are_counted_as_one(rates):
    rates(sessions_login="1/min")
    assert knock(REMOTE_ADDR="2001:db8::1") == "422 invalid_request"
    assert knock(REMOTE_ADDR="2001:db8::2") == "429 throttled"
    assert knock(REMOTE_ADDR="2001:db8:0:1::1") == "422 invalid_request"


def test_a_caller_without_an_address_is_counted_as_one(rates):
    rates(sessions_login="1/min")
    assert knock(REMOTE_ADDR="") == "422 invalid_request"
    assert knock(REMOTE_ADDR="unix:") == "429 throttled"


@pytest.mark.parametrize("rate", ["0/min", "1/min"])
def test_a_rate_that_was_lowered_still_says_when_to_come_back(rates, rate):
    """As at a deployment: more calls are on record than are allowed now."""
    rates(sessions_login="5/min")
    for _ in range(5):
        knock()
    rates(sessions_login=rate)
    assert knock() == "429 throttled"


def test_threads_do_not_take_each_other_for_another_address(rates):
    """One is shut out, the others are not, all at the same moment on the one throttle there is."""
    rates(sessions_login="40/min")
    for _ in range(40):
        knock(REMOTE_ADDR="192.0.2.1")
    barrier, answers = threading.Barrier(8), {number: [] for number in range(8)}

    def run(number):
        address = "192.0.2.1" if number % 2 else f"198.51.100.{number}"
        try:
            barrier.wait(20)
            for _ in range(30):
                answers[number].append(knock(REMOTE_ADDR=address))
        finally:
            connections.close_all()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=run, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    for number, told in answers.items():
        assert told == ["429 throttled" if number % 2 else "422 invalid_request"] * 30


# Whatever the project's own API is like.


def test_problems_are_problems_where_the_api_answers_errors_in_its_own_way(client, user, app, rates):
    def ask(method, path, data=None, client=None, **more):
        body = "" if data is None else data if isinstance(data, str) else json.dumps(data)
        return problem((client or Client()).generic(method, f"/handled{path}", body, JSON, **more))

    other = UserSessionFactory()
    assert ask("GET", "/sessions") == "401 not_authenticated"
    assert ask("POST", "/sessions", "{") == "400 malformed_request"
    assert ask("POST", "/sessions", {}) == "422 invalid_request"
    assert ask("POST", "/sessions", {"username": "x", "password": "x"}) == "401 invalid_credentials"
    assert ask("POST", "/sessions/refresh", {"refresh_token": "x"}) == "401 invalid_refresh_token"
    assert ask("GET", f"/sessions/{other.pk}", headers=app.headers) == "404 not_found"
    assert ask("GET", f"/users/{other.pk}/sessions", headers=app.headers) == "403 permission_denied"
    strict = Client(enforce_csrf_checks=True)
    log_in(strict, user)
    assert ask("DELETE", "/sessions", client=strict) == "403 csrf_failed"
    rates(sessions_login="1/min")
    ask("POST", "/sessions", {})
    assert ask("POST", "/sessions", {}) == "429 throttled"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "TRACE", "BREW"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/sessions", {"GET", "POST", "DELETE"}),
        ("/sessions/refresh", {"POST"}),
        ("/sessions/current", {"GET", "DELETE"}),
        ("/sessions/{id}", {"GET", "PATCH", "DELETE"}),
        ("/users/x/sessions", {"GET", "DELETE"}),
        ("/users/x/sessions/{id}", {"DELETE"}),
    ],
)
def test_a_method_that_is_not_there_names_those_that_are(app, path, allowed, method):
    answer = app.call(method, path.format(id=app.id))
    assert answer.status_code == 405
    assert set(answer["Allow"].split(", ")) == allowed
    assert app.session.is_active


def test_the_api_works_behind_djangos_csrf_middleware(settings, user):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]
    app = App(user, enforce_csrf_checks=True)
    assert app.get("/sessions").status_code == 200
    assert app.delete("/sessions").status_code == 200
    assert problem(Client().get("/api/sessions")) == "401 not_authenticated"


@pytest.mark.urls("tests.mounted_api")
def test_the_api_works_behind_djangos_login_required_middleware(settings, user):
    """Where its views are excepted as in the README."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    app = App(user)
    assert refresh(app.tokens["refresh_token"]).status_code == 200
    assert app.get("/sessions/current").json()["id"] == app.id
    assert problem(app.get(f"/users/{user.pk}/sessions")) == "403 permission_denied"
    assert problem(Client().get("/api/sessions")) == "401 not_authenticated"
    assert problem(sign_in(user.get_username(), "wrong")) == "401 invalid_credentials"
    assert app.delete("/sessions/current").status_code == 204


def test_without_the_middleware_tokens_work_and_cookies_do_not(settings, client, user):
    log_in(client, user)
    settings.MIDDLEWARE = settings.MIDDLEWARE[:2]
    app = App(user)
    assert app.get("/sessions/current").json()["id"] == app.id
    assert visit("get", "/both", headers=app.headers).json()["session"] == app.id
    assert problem(client.get("/api/sessions")) == "401 not_authenticated"
    assert app.delete("/sessions/current").status_code == 204


def test_the_api_works_without_any_session_middleware(settings, user):
    settings.MIDDLEWARE = []
    app = App(user)
    assert app.get("/sessions/current").json()["id"] == app.id
    assert app.delete("/sessions/current").status_code == 204
    assert problem(Client().get("/api/sessions")) == "401 not_authenticated"
