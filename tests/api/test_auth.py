"""Who calls: by token, by cookie, by both, by neither."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.api.calls import CSRF, JSON, App, ids, permit, problem, sign_in

pytestmark = pytest.mark.django_db


CALLS = {
    "list": ("GET", "/sessions", None),
    "current": ("GET", "/sessions/current", None),
    "one": ("GET", "/sessions/{id}", None),
    "trust": ("PATCH", "/sessions/{id}", {"is_trusted": True}),
    "end one": ("DELETE", "/sessions/{id}", None),
    "end others": ("DELETE", "/sessions", None),
    "confirm": ("POST", "/sessions/current/confirm", {"password": "password"}),
    "sign out": ("DELETE", "/sessions/current", None),
    "list of user": ("GET", "/users/{user}/sessions", None),
    "end all of user": ("DELETE", "/users/{user}/sessions", None),
    "end one of user": ("DELETE", "/users/{user}/sessions/{id}", None),
}
UNSAFE = [name for name, (method, *_) in CALLS.items() if method != "GET"]


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
