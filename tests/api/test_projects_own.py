"""Operations and middleware of the project's own."""

import json
from functools import partial
from itertools import permutations

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.signals import user_logged_out
from django.test import AsyncClient, Client
from django.urls import path as url
from ninja import NinjaAPI

from sessions_ext.api import login_router, router, staff_router
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, log_in
from tests.api.calls import CSRF, App, problem, refresh, sign_in
from tests.mounted_api import AUTH

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("theirs", ["same user", "another user", "anonymous", "none"])
@pytest.mark.parametrize("path", ["/api/logout", "/api/alogout", "/api/logout-twice", "/api/alogout-twice"])
def test_djangos_logout_behind_a_token_ends_that_session_and_nobody_elses(
    client, user, app, path, theirs, sent
):
    other = App(user)
    if theirs in {"same user", "another user"}:
        own = log_in(client, UserFactory() if theirs == "another user" else user)
    client.get("/put/?key=basket&value=1")
    if theirs == "none":
        client.cookies.clear()
    is_async = path.startswith("/api/a")
    visitor = AsyncClient() if is_async else client
    visitor.cookies = client.cookies
    post = async_to_sync(visitor.post) if is_async else client.post
    answer = post(path, headers=app.headers)
    assert answer.status_code == 200
    assert answer.json() == {"is_authenticated": False, "has_session": False}
    assert app.session.revoked_reason == "logout"
    assert problem(app.get("/sessions")) == "401 not_authenticated"
    assert other.session.is_active
    assert [one.user for one in sent.logouts if one.user] == [user]
    assert not answer.cookies
    if theirs in {"same user", "another user"}:
        own.refresh_from_db()
        assert own.is_active
        assert client.get("/row/").content.decode() == str(own.pk)
    if theirs != "none":
        assert client.get("/data/").json()["basket"] == "1"


def test_djangos_logout_behind_a_token_needs_no_middleware_of_ours(client, user, settings):
    settings.SESSION_ENGINE = "sessions_ext.engines.db"
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if "sessions_ext" not in path]
    client.force_login(user)
    app = App(user)
    answer = client.post("/api/logout-twice", headers=app.headers)
    assert answer.json() == {"is_authenticated": False, "has_session": False}
    assert app.session.revoked_reason == "logout"
    assert not answer.cookies
    assert client.get("/who/").content.decode() == user.get_username()


def test_djangos_logout_by_cookie_in_an_operation_ends_the_cookies_session(client, user, app):
    own = log_in(client, user)
    assert client.post("/api/logout").json() == {"is_authenticated": False, "has_session": False}
    own.refresh_from_db()
    assert own.revoked_reason == "logout"
    assert app.session.is_active
    assert client.get("/who/").content == b"nobody"


# Whatever the project's own API is like.


@pytest.mark.parametrize("path", ["/api/sessions/export", "/api/sessions/aexport", "/api/plain"])
def test_an_operation_beside_a_sessions_id_is_found_at_its_path(path):
    assert Client().post(path).json() == "plain"


@pytest.mark.parametrize("path", ["/api/sessions/plain", "/api/users/1/sessions/plain"])
def test_an_operation_is_found_at_no_path_that_only_ends_like_its_own(path):
    assert Client().post(path).status_code == 405


def test_the_api_works_behind_djangos_csrf_middleware(settings, user):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]
    app = App(user, enforce_csrf_checks=True)
    assert app.get("/sessions").status_code == 200
    assert app.delete("/sessions").status_code == 200
    assert problem(Client().get("/api/sessions")) == "401 not_authenticated"


@pytest.mark.urls("tests.mounted_api")
def test_the_api_works_behind_djangos_login_required_middleware(settings, user):
    """Where its views are excepted as in the documentation."""
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


@pytest.mark.parametrize("order", list(permutations([login_router, router, staff_router])), ids="abcdef")
@pytest.mark.parametrize("prefix", ["", "/auth"])
def test_the_routers_share_paths_in_any_order(user, order, prefix, settings):
    """POST /sessions is of one router and GET /sessions of another, /sessions/refresh is no id."""
    api = NinjaAPI(urls_namespace="shared")
    for each in order:
        api.add_router(prefix, each)
    settings.ROOT_URLCONF = (url("api/", api.urls),)
    ask = partial(Client().generic, content_type="application/json")
    body = {"username": user.get_username(), "password": "password"}
    answer = ask("POST", f"/api{prefix}/sessions", json.dumps(body))
    assert answer.status_code == 201
    answer = ask(
        "POST",
        f"/api{prefix}/sessions/refresh",
        json.dumps({"refresh_token": answer.json()["refresh_token"]}),
    )
    assert answer.status_code == 200
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert len(ask("GET", f"/api{prefix}/sessions", headers=headers).json()["items"]) == 1
    assert ask("DELETE", f"/api{prefix}/sessions/refresh", headers=headers).status_code in (405, 422)
    assert ask("DELETE", f"/api{prefix}/sessions/current", headers=headers).status_code == 204


def test_without_the_login_router_nobody_logs_in(user, settings):
    api = NinjaAPI(urls_namespace="without-login")
    api.add_router("", router)
    settings.ROOT_URLCONF = (url("api/", api.urls),)
    body = {"username": user.get_username(), "password": "password"}
    answer = Client().post("/api/sessions", body, content_type="application/json")
    assert answer.status_code == 405
    assert "POST" not in answer["Allow"]
