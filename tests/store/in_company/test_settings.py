"""Middleware, routers and addresses of a project that the app has to live with, or to name."""

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.utils.functional import SimpleLazyObject

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, log_in
from tests.store.in_company import site
from tests.store.in_company.conftest import Browser, few_engines
from tests.store.in_company.test_reads import is_of, rows_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.store.in_company.site")]

HERE = "tests.store.in_company.test_settings"


def messages():
    return run_checks(tags=["sessions_ext"])


# A middleware between Django's and ours


def reads_user(get_response):
    def middleware(request):
        request.META["X_USER"] = request.user.get_username()
        return get_response(request)

    return middleware


def wraps_user(get_response):
    """As an app for two factors does: whoever reads the user finds one thing more."""

    def middleware(request):
        user = request.user

        def marked():
            user.is_marked = True
            return user

        request.user = SimpleLazyObject(marked)
        return get_response(request)

    return middleware


def wants_mark(get_response):
    def middleware(request):
        if request.user.is_authenticated:
            assert request.user.is_marked
        return get_response(request)

    return middleware


def set_between(settings, name, after=()):
    middleware = settings.MIDDLEWARE
    settings.MIDDLEWARE = [*middleware[:2], f"{HERE}.{name}", *middleware[2:], *after]


between = pytest.mark.parametrize("name", ["reads_user", "wraps_user"])


@between
def test_a_check_names_a_middleware_between(settings, name):
    before = messages()
    set_between(settings, name)
    named = [message for message in messages() if message not in before]
    assert any(f"{HERE}.{name}" in f"{message.msg} {message.hint}" for message in named)


def test_a_check_has_nothing_against_the_middleware_of_these_settings():
    assert messages() == []


@few_engines
@between
def test_a_middleware_between_breaks_nothing(browser, user, engine, settings, name):
    set_between(settings, name)
    session = browser.log_in(user)
    assert is_of(browser.seen(), user, session)


@few_engines
@between
def test_a_middleware_between_lets_nobody_in(browser, user, engine, settings, name):
    set_between(settings, name)
    browser.log_in(user)
    rows_of(user).revoke("stolen")
    seen = browser.seen()
    assert (seen["user"], seen["row"]) == (None, None)
    assert "_auth_user_id" not in seen["data"]


@few_engines
def test_what_a_middleware_between_adds_to_the_user_is_there(browser, user, engine, settings):
    set_between(settings, "wraps_user", after=[f"{HERE}.wants_mark"])
    session = browser.log_in(user)
    assert is_of(browser.seen(), user, session)


def knows_other_logins(get_response):
    """As an API's tokens are often read: whoever has no session may have a header."""

    def middleware(request):
        before = request.user

        def find():
            name = request.headers.get("X-User")
            return site.user_named(name) if name and not before.is_authenticated else before

        request.user = SimpleLazyObject(find)
        return get_response(request)

    return middleware


@few_engines
@pytest.mark.parametrize("reads_first", [False, True])
def test_a_lazy_user_of_another_kind_of_login_stays(user, engine, settings, reads_first):
    """In the sync world: a lazy user cannot be awaited."""
    set_between(settings, "knows_other_logins")
    if reads_first:
        settings.MIDDLEWARE.insert(2, f"{HERE}.reads_user")
    browser, headers = Browser(is_async=False), {"X-User": user.get_username()}
    assert browser.seen(**headers)["user"] == user.get_username()
    browser.get("put/?cart=book")
    assert browser.seen(**headers)["user"] == user.get_username()
    other = UserFactory()
    session = browser.log_in(other)
    assert is_of(browser.seen(**headers), other, session)
    rows_of(other).revoke("stolen")
    assert browser.seen()["user"] is None


# Two databases


class RowsElsewhere:
    """Writes the rows to another database than the users."""

    def db_for_read(self, model, **hints):
        return "other" if model is UserSession else None

    db_for_write = db_for_read


class AllElsewhere:
    def db_for_read(self, model, **hints):
        return "other" if model in (UserSession, get_user_model()) else None

    db_for_write = db_for_read


def test_a_check_names_a_router_that_parts_rows_and_users(settings):
    settings.DATABASE_ROUTERS = [f"{HERE}.RowsElsewhere"]
    named = [f"{message.msg} {message.hint}" for message in messages()]
    assert any("'other'" in text and "'default'" in text for text in named)


def test_a_check_has_nothing_against_a_router_that_keeps_them_together(settings):
    settings.DATABASE_ROUTERS = [f"{HERE}.AllElsewhere"]
    assert messages() == []


# A site without a usable LOGIN_URL


@pytest.fixture(params=["/accounts/login/", "no-such-name"])
def no_login_page(request, settings):
    settings.LOGIN_URL, settings.LOGOUT_REDIRECT_URL = request.param, None


def test_a_check_names_a_login_url_that_leads_nowhere(no_login_page, settings):
    named = [message for message in messages() if "LOGIN_URL" in message.msg]
    assert named
    assert any(settings.LOGIN_URL in f"{message.msg} {message.hint}" for message in named)


def test_a_sign_out_of_this_device_shows_a_page_where_there_is_no_login_page(client, user, no_login_page):
    session = log_in(client, user)
    response = client.post(f"/devices/{session.pk}/sign-out/", follow=True)
    assert response.status_code == 200
    assert b"signed out" in response.content.lower()
    session.refresh_from_db()
    assert not session.is_active
    assert client.get("/seen/").json()["user"] is None


def test_a_sign_out_of_this_device_goes_where_the_project_says(client, user, settings):
    settings.LOGOUT_REDIRECT_URL = "/seen/"
    session = log_in(client, user)
    response = client.post(f"/devices/{session.pk}/sign-out/", follow=True)
    assert response.redirect_chain == [("/seen/", 302)]
