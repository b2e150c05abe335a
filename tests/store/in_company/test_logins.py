"""Logins that come to nothing, that renew a hash, that were there before the app, and whose cookie moves."""

import asyncio

import pytest
from django.contrib.auth import alogin, authenticate, login
from django.contrib.auth.hashers import identify_hasher
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.utils.http import parse_http_date

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, log_in
from tests.store.in_company import site
from tests.store.in_company.conftest import Browser, few_engines
from tests.store.in_company.test_reads import NOBODY, is_of, rows_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.store.in_company.site")]


def name_of(user):
    return {"username": user.get_username()}


# A login whose answer is an error of the server: Django keeps no session then

statuses = pytest.mark.parametrize("status", ["raise", 500, 503])


@statuses
def test_a_login_answered_by_an_error_leaves_no_active_row(browser, user, engine, status):
    """F27"""
    response = browser.post(f"login-and-answer/?status={status}", name_of(user))
    assert response.status_code >= 500
    assert browser.seen() == NOBODY
    assert not rows_of(user).active().exists()


@statuses
def test_retries_of_a_failing_login_leave_the_real_devices_alone(browser, another, user, settings, status):
    """F27"""
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    session = another().log_in(user)
    for _ in range(4):
        browser.post(f"login-and-answer/?status={status}", name_of(user))
    session.refresh_from_db()
    assert session.is_active


@few_engines
@statuses
def test_a_failing_login_takes_up_no_place(browser, user, engine, settings, status):
    """F27: with deny and a limit of 1 the person would be locked out."""
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    browser.post(f"login-and-answer/?status={status}", name_of(user))
    response = browser.post("login/", name_of(user))
    assert response.status_code == 200
    assert is_of(browser.seen(), user, rows_of(user).active().get())


@few_engines
@statuses
def test_a_failing_login_as_somebody_else_leaves_nobody_active(browser, user, engine, status):
    """Django's login() has ended the session before it by then."""
    browser.log_in(user)
    other = UserFactory()
    browser.post(f"login-and-answer/?status={status}", name_of(other))
    assert browser.seen() == NOBODY
    assert not UserSession.objects.active().exists()


@few_engines
@statuses
def test_a_failing_login_of_who_is_signed_in_signs_nobody_out(browser, user, engine, status):
    session = browser.log_in(user)
    browser.post(f"login-and-answer/?status={status}", name_of(user))
    assert is_of(browser.seen(), user, session)


@few_engines
@pytest.mark.parametrize("status", [200, 302, 404])
def test_a_login_answered_by_less_than_an_error_of_the_server_stays(browser, user, engine, status):
    browser.post(f"login-and-answer/?status={status}", name_of(user))
    assert is_of(browser.seen(), user, rows_of(user).active().get())


class GivesUpError(BaseException):
    """As a server raises in a worker that takes too long."""


@few_engines
def test_a_login_in_a_worker_that_is_ended_leaves_no_active_row(browser, user, engine, doing):
    """F27"""

    def view(request):
        login(request, user, site.BACKEND)
        raise GivesUpError

    doing(view)
    with pytest.raises(GivesUpError):
        browser.get("do/")
    assert not rows_of(user).active().exists()


@few_engines
def test_a_login_whose_browser_goes_away_leaves_no_active_row(user, engine, monkeypatch):
    """F27: the server cancels an async view then."""

    async def view(request):
        await alogin(request, user, site.BACKEND)
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    monkeypatch.setattr(site.page, "ado", view)
    with pytest.raises(asyncio.CancelledError):
        Browser(is_async=True).get("do/")
    assert not rows_of(user).active().exists()


# A login that MAX_SESSIONS or the database fails


def broken_limit(user):
    raise ValueError("no plan of that name")


@few_engines
@pytest.mark.parametrize("was_signed_in", [False, True])
def test_a_login_whose_limit_raises_logs_nobody_in(browser, user, engine, settings, was_signed_in):
    if was_signed_in:
        browser.log_in(UserFactory())
    browser.get("put/?cart=book")
    settings.SESSIONS_EXT = {"MAX_SESSIONS": "tests.store.in_company.test_logins.broken_limit"}
    seen = browser.post("login-caught/", name_of(user)).json()
    assert (seen["user"], seen["row"]) == (None, None)
    seen = browser.seen()
    assert (seen["user"], seen["row"]) == (None, None)
    assert not rows_of(user).exists()
    assert browser.get("logout/").status_code == 200
    settings.SESSIONS_EXT = {}
    assert browser.post("login/", name_of(user)).json()["user"] == user.get_username()


@few_engines
def test_a_guest_keeps_the_cart_when_a_login_fails(browser, user, engine, settings):
    browser.get("put/?cart=book")
    settings.SESSIONS_EXT = {"MAX_SESSIONS": "tests.store.in_company.test_logins.broken_limit"}
    browser.post("login-caught/", name_of(user))
    assert browser.seen() == {"user": None, "row": None, "data": {"cart": "book"}}


@few_engines
def test_a_login_that_the_database_fails_logs_nobody_in(browser, user, engine):
    def no_inserts(execute, sql, params, many, context):
        if sql.startswith("INSERT") and "sessions_ext_usersession" in sql:
            raise OperationalError("the disk is full")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(no_inserts):
        seen = browser.post("login-caught/", name_of(user)).json()
    assert (seen["user"], seen["row"]) == (None, None)
    assert (browser.seen()["user"], browser.seen()["row"]) == (None, None)
    assert browser.post("login/", name_of(user)).json()["user"] == user.get_username()


# Denied within the transaction of a request


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_cart", [False, True])
def test_a_denied_login_is_denied_under_atomic_requests(user, engine, settings, monkeypatch, has_cart):
    """In the sync world: Django has no ATOMIC_REQUESTS for an async view."""
    session = Browser(is_async=False).log_in(user)
    browser = Browser(is_async=False)
    if has_cart:
        browser.get("put/?cart=book")
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert browser.post("login/", name_of(user)).status_code == 403
    seen = browser.seen()
    assert (seen["user"], seen["row"]) == (None, None)
    assert list(UserSession.objects.active()) == [session]
    rows_of(user).revoke("lost")
    assert browser.post("login/", name_of(user)).status_code == 200
    assert is_of(browser.seen(), user, rows_of(user).active().get())


# A login that renews the hash of the password

HASHERS = "django.contrib.auth.hashers."


@pytest.fixture
def renewing(settings):
    """The next login by password renews the hash, as one does after Django has raised its iterations."""
    settings.PASSWORD_HASHERS = [f"{HASHERS}ScryptPasswordHasher", f"{HASHERS}MD5PasswordHasher"]


def signs_in_by_password(browser, user):
    before = user.password
    authenticated = authenticate(username=user.get_username(), password="password")
    user.refresh_from_db()
    assert user.password != before
    assert identify_hasher(user.password).algorithm == "scrypt"
    browser.client.force_login(authenticated)


@pytest.fixture
def old_hash(settings):
    """A user whose password was hashed a while ago."""
    settings.PASSWORD_HASHERS = [f"{HASHERS}MD5PasswordHasher"]
    return UserFactory()


@few_engines
def test_a_renewed_hash_ends_no_device_as_a_changed_password(browser, another, old_hash, engine, renewing):
    device = another()
    session = device.log_in(old_hash, is_trusted=True)
    signs_in_by_password(browser, old_hash)
    session.refresh_from_db()
    assert session.is_active
    assert session.is_trusted
    assert browser.seen()["user"] == old_hash.get_username()
    device.seen()
    session.refresh_from_db()
    assert session.revoked_reason != RevokedReason.PASSWORD_CHANGE


@few_engines
@pytest.mark.urls("tests.urls")
@pytest.mark.parametrize("path", ["/login/", "/alogin/"])
def test_a_renewed_hash_leaves_the_trust_of_this_browser(client, apost, old_hash, engine, path, settings):
    log_in(client, old_hash, is_trusted=True)
    settings.PASSWORD_HASHERS = [f"{HASHERS}ScryptPasswordHasher", f"{HASHERS}MD5PasswordHasher"]
    data = {"username": old_hash.get_username(), "password": "password"}
    post = apost if path == "/alogin/" else client.post
    assert post(path, data).content.decode() == old_hash.get_username()
    old_hash.refresh_from_db()
    assert identify_hasher(old_hash.password).algorithm == "scrypt"
    assert rows_of(old_hash).active().get().is_trusted
    assert not rows_of(old_hash).filter(revoked_reason=RevokedReason.PASSWORD_CHANGE).exists()


def test_a_password_set_to_what_it_was_is_a_changed_password(browser, another, user):
    """Somebody who sets it anew means the others to go, whatever the new one is."""
    device = another()
    session = device.log_in(user)
    browser.log_in(user)
    browser.post("password/", {"password": "password"})
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.PASSWORD_CHANGE


# A login from before the app was installed


def log_in_before_the_app(browser, user):
    session = browser.log_in(user)
    store = browser.client.session
    del store[ID_KEY]
    store.save()
    browser.client.cookies["sessionid"] = store.session_key
    UserSession.objects.filter(pk=session.pk).delete()


@few_engines
@pytest.mark.django_db(transaction=True)
def test_an_adopted_login_does_not_evict_the_login_of_today(browser, another, user, engine, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    old = another()
    log_in_before_the_app(old, user)
    session = browser.log_in(user)
    old.seen()
    assert is_of(browser.seen(), user, session)
    assert old.seen() == NOBODY
    assert list(rows_of(user).active()) == [session]


@few_engines
@pytest.mark.django_db(transaction=True)
def test_an_adopted_login_goes_first(browser, another, user, engine, settings, later):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    old = another()
    log_in_before_the_app(old, user)
    session = another().log_in(user)
    later(3600)
    assert old.seen()["user"] == user.get_username()
    later(3600)
    newest = browser.log_in(user)
    assert {row.pk for row in rows_of(user).active()} == {session.pk, newest.pk}
    assert old.seen() == NOBODY


@few_engines
@pytest.mark.django_db(transaction=True)
def test_the_first_of_two_logins_may_be_adopted_beside_the_other(browser, another, user, engine, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    old = another()
    log_in_before_the_app(old, user)
    session = browser.log_in(user)
    assert old.seen()["user"] == user.get_username()
    assert is_of(browser.seen(), user, session)


# The end of the cookie and that of the row


def cookie_end(response):
    return parse_http_date(response.cookies["sessionid"]["expires"])


@few_engines
@pytest.mark.parametrize(("seconds", "click"), [(90, 50), (90, 80), (61, 60), (1800, 59), (30, 20)])
def test_a_cookie_that_every_click_moves_keeps_its_login(browser, user, engine, later, seconds, click):
    browser.log_in(user)
    for _ in range(8):
        response = browser.get(f"expire-in/?seconds={seconds}")
        assert response.json()["user"] == user.get_username()
        assert rows_of(user).get().expires_at.timestamp() >= cookie_end(response)
        later(click)
    later(seconds + 60)  # TOUCH_INTERVAL
    assert browser.seen()["user"] is None


@few_engines
def test_an_answer_that_sets_no_cookie_moves_no_end(browser, user, engine, later, doing):
    session = browser.log_in(user)

    def view(request):
        request.session.set_expiry(120)
        return HttpResponse(status=500)

    doing(view)
    browser.get("do/")
    later(300)
    assert is_of(browser.seen(), user, session)


@few_engines
@pytest.mark.parametrize("click", [10, 50, 80])
def test_a_row_does_not_end_before_a_short_cookie(browser, user, engine, settings, later, click):
    settings.SESSION_COOKIE_AGE = 90
    browser.log_in(user)
    for number in range(8):
        response = browser.get(f"put/?cart={number}")
        assert rows_of(user).get().expires_at.timestamp() >= cookie_end(response)
        later(click)
        assert browser.seen()["user"] == user.get_username()


def test_a_cookie_that_every_click_moves_ends_with_the_lifetime(browser, user, later, settings):
    settings.SESSIONS_EXT = {"LIFETIME": 200}
    browser.log_in(user)
    for _ in range(4):
        assert browser.seen("expire-in/?seconds=90")["user"] == user.get_username()
        later(50)
    assert browser.seen("expire-in/?seconds=90")["user"] is None


# Who signs in with each request

REMOTE = "django.contrib.auth.middleware.RemoteUserMiddleware"


@pytest.fixture(params=["before ours", "after ours"])
def remote_user(request, settings):
    """A web server in front vouches for the user, and Django's middleware logs in whom it names."""
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    at = 2 if request.param == "before ours" else 3
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:at], REMOTE, *settings.MIDDLEWARE[at:]]


def visit_as_remote(client, user):
    return client.get("/seen/", REMOTE_USER=user.get_username()).json()


@few_engines
def test_a_remote_user_without_cookies_has_no_row_per_request(user, engine, remote_user):
    for _ in range(5):
        browser = Browser(is_async=False)
        assert visit_as_remote(browser.client, user)["user"] == user.get_username()
    assert rows_of(user).count() <= 1


@few_engines
def test_a_remote_user_with_cookies_has_one_row(user, engine, remote_user):
    browser = Browser(is_async=False)
    for _ in range(5):
        assert visit_as_remote(browser.client, user)["user"] == user.get_username()
    assert rows_of(user).count() <= 1


@few_engines
def test_a_remote_user_counts_against_no_limit_again_and_again(user, engine, remote_user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    for _ in range(5):
        seen = visit_as_remote(Browser(is_async=False).client, user)
        assert seen["user"] == user.get_username()
    assert not rows_of(user).filter(revoked_reason=RevokedReason.LIMIT).exists()
