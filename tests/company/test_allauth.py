"""django-allauth: social login, two factors, and the headless API of apps."""

import time

import pytest
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.contrib.auth import get_user_model

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.testing import UserFactory
from tests.company.conftest import through
from tests.store.in_company.test_reads import NOBODY, is_of, rows_of

pytestmark = pytest.mark.django_db

PERSON = {"sub": "1", "email": "ada@example.com", "email_verified": True, "preferred_username": "ada"}


def sign_in_at(provider, browser):
    path = through(provider, browser.get("accounts/oidc/loopback/login/"))
    return browser.get(path)


def code_of(secret):
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


@pytest.fixture
def totp(user, later):
    """The secret of the second factor of the user. The clock stands still, since a code is good until the
    next half minute begins."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


# Social login


def test_a_social_login_starts_a_row(browser, engine, provider):
    provider.person = PERSON
    browser.get("put/?cart=book")
    response = sign_in_at(provider, browser)
    assert response.status_code == 302
    ada = get_user_model().objects.get(email="ada@example.com")
    seen = browser.seen()
    assert is_of(seen, ada, rows_of(ada).active().get())
    assert seen["data"]["cart"] == "book"
    assert UserSession.objects.count() == 1


def test_a_second_social_login_in_another_browser_has_a_row_of_its_own(browser, another, engine, provider):
    provider.person = PERSON
    other = another()
    for each in (browser, other):
        sign_in_at(provider, each)
    ada = get_user_model().objects.get()
    assert rows_of(ada).active().count() == 2
    rows_of(ada).exclude(pk=browser.seen()["row"]).revoke("stolen")
    assert other.seen() == NOBODY
    assert browser.seen()["user"] == ada.get_username()


def test_a_social_login_of_who_is_signed_in_leaves_one_row(browser, engine, provider):
    """allauth logs out whoever was signed in before it logs in."""
    provider.person = PERSON
    sign_in_at(provider, browser)
    before = browser.seen()["row"]
    sign_in_at(provider, browser)
    assert UserSession.objects.get(pk=before).revoked_reason == RevokedReason.LOGOUT
    assert browser.seen()["row"] == str(UserSession.objects.active().get().pk)


def test_a_revoked_browser_signs_in_again_at_the_provider(browser, engine, provider):
    provider.person = PERSON
    sign_in_at(provider, browser)
    UserSession.objects.all().revoke("stolen")
    assert browser.seen() == NOBODY
    sign_in_at(provider, browser)
    ada = get_user_model().objects.get()
    assert is_of(browser.seen(), ada, rows_of(ada).active().get())


def test_a_revoke_amid_a_social_login_stops_nobody(browser, engine, provider):
    """The browser was signed in when it left for the provider, and is not when it comes back."""
    provider.person = PERSON
    sign_in_at(provider, browser)
    path = through(provider, browser.get("accounts/oidc/loopback/login/"))
    UserSession.objects.all().revoke("stolen")
    response = browser.get(path)
    assert response.status_code < 500
    sign_in_at(provider, browser)
    ada = get_user_model().objects.get()
    assert is_of(browser.seen(), ada, rows_of(ada).active().get())


def test_a_logout_by_allauth_ends_the_row(browser, engine, provider):
    provider.person = PERSON
    sign_in_at(provider, browser)
    assert browser.post("accounts/logout/").status_code == 302
    assert UserSession.objects.get().revoked_reason == RevokedReason.LOGOUT
    assert browser.seen() == NOBODY


# Two factors


def test_a_login_with_two_factors_starts_its_row_after_the_second(browser, user, engine, totp):
    credentials = {"login": user.get_username(), "password": "password"}
    response = browser.post("accounts/login/", credentials)
    assert response.url.startswith("/accounts/2fa/authenticate/")
    assert not UserSession.objects.exists()
    assert browser.seen()["user"] is None
    assert browser.post("accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert not UserSession.objects.exists()
    response = browser.post("accounts/2fa/authenticate/", {"code": code_of(totp)})
    assert response.status_code == 302
    assert is_of(browser.seen(), user, rows_of(user).active().get())
    rows_of(user).revoke("stolen")
    assert browser.seen() == NOBODY


# The headless API of apps


def ask(browser, method, path, data=None, **options):
    body = [] if data is None else [data]
    return getattr(browser.client, method)(path, *body, content_type="application/json", **options)


class App:
    """A client of the API of apps. It has a token and, as `browser`, may have cookies as well."""

    def __init__(self, browser):
        self.browser, self.token = browser, None

    def ask(self, method, path, data=None):
        headers = {"X-Session-Token": self.token} if self.token else {}
        response = ask(self.browser, method, f"/_allauth/app/v1/{path}", data, headers=headers)
        if response["Content-Type"].startswith("application/json"):
            self.token = response.json().get("meta", {}).get("session_token") or self.token
        return response

    def log_in(self, user, password="password"):
        return self.ask("post", "auth/login", {"username": user.get_username(), "password": password})

    @property
    def username(self):
        response = self.ask("get", "auth/session")
        if response.status_code != 200:
            assert response.status_code in (401, 410), response.content
            return None
        return response.json()["data"]["user"]["username"]


@pytest.fixture
def app(another):
    return App(another())


def test_an_app_signs_in_and_out_by_its_token(app, user, engine):
    response = app.log_in(user)
    assert response.status_code == 200, response.content
    session = rows_of(user).active().get()
    assert app.username == user.get_username()
    assert UserSession.objects.count() == 1
    app.ask("delete", "auth/session")
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.LOGOUT
    assert app.username is None
    assert UserSession.objects.count() == 1


def test_an_app_signs_in_with_two_factors(app, user, engine, totp):
    assert app.log_in(user).status_code == 401
    assert app.token
    assert app.username is None
    assert not UserSession.objects.exists()
    response = app.ask("post", "auth/2fa/authenticate", {"code": code_of(totp)})
    assert response.status_code == 200, response.content
    assert app.username == user.get_username()
    assert rows_of(user).active().count() == 1


def test_a_revoke_ends_the_token_of_an_app(app, user, engine):
    app.log_in(user)
    assert rows_of(user).revoke("stolen") == 1
    assert app.username is None
    response = app.ask("post", "account/password/change", {"new_password": "another one, 23"})
    assert response.status_code in (401, 410)
    user.refresh_from_db()
    assert user.check_password("password")


def test_the_account_of_the_token_answers_beside_the_cookie_of_another(app, user, engine):
    other = UserFactory()
    cookie_session = app.browser.log_in(other)
    app.log_in(user)
    assert app.username == user.get_username()
    assert is_of(app.browser.seen(), other, cookie_session)
    rows_of(user).revoke("stolen")
    assert app.username is None
    assert is_of(app.browser.seen(), other, cookie_session)


def test_a_logout_by_the_token_leaves_the_cookie_alone(app, user, engine):
    other = UserFactory()
    cookie_session = app.browser.log_in(other)
    app.log_in(user)
    session = rows_of(user).active().get()
    app.ask("delete", "auth/session")
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.LOGOUT
    assert is_of(app.browser.seen(), other, cookie_session)


def test_a_cookie_alone_is_nobody_to_the_api_of_apps(app, user, engine):
    app.browser.log_in(user)
    assert app.username is None


def test_a_post_with_a_cookie_alone_does_not_change_its_account(app, user, engine):
    """These endpoints are exempt from CSRF: any site can make a browser post to them."""
    session = app.browser.log_in(user)
    attacker = UserFactory()
    app.log_in(attacker)
    assert is_of(app.browser.seen(), user, session)
    app.token = None
    response = app.ask("post", "account/password/change", {"new_password": "another one, 23"})
    assert response.status_code == 401
    user.refresh_from_db()
    assert user.check_password("password")
    app.token = None
    app.ask("delete", "auth/session")
    assert is_of(app.browser.seen(), user, session)


def test_an_app_changes_its_password_and_ends_the_other_devices(app, another, user, engine):
    app.log_in(user)
    session = rows_of(user).active().get()
    device = another().log_in(user)
    data = {"current_password": "password", "new_password": "another one, 23"}
    assert app.ask("post", "account/password/change", data).status_code == 200
    assert app.username == user.get_username()
    device.refresh_from_db()
    assert device.revoked_reason == RevokedReason.PASSWORD_CHANGE
    session.refresh_from_db()
    assert session.is_active


# The headless API of browsers


def test_a_browser_signs_in_and_out_by_the_headless_api(browser, user, engine):
    session_url = "/_allauth/browser/v1/auth/session"
    credentials = {"username": user.get_username(), "password": "password"}
    assert ask(browser, "post", "/_allauth/browser/v1/auth/login", credentials).status_code == 200
    assert is_of(browser.seen(), user, rows_of(user).active().get())
    assert ask(browser, "get", session_url).json()["data"]["user"]["username"] == user.get_username()
    rows_of(user).revoke("stolen")
    assert ask(browser, "get", session_url).status_code == 401
    assert ask(browser, "post", "/_allauth/browser/v1/auth/login", credentials).status_code == 200
    assert ask(browser, "delete", session_url).status_code == 401
    assert not rows_of(user).active().exists()
