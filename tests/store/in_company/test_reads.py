"""Whatever other code does with `request.session`, whoever reads a session reads verified data."""

from contextlib import suppress
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import login
from django.contrib.sessions.backends.base import UpdateError
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.utils import timezone

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.testing import UserFactory
from tests.conftest import ENGINES
from tests.store.in_company import site
from tests.store.in_company.conftest import FEW, few_engines, in_a_thread, verified_engines

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.urls("tests.store.in_company.site")]

FIRST = ["nothing", "user", "data"]
NOBODY = {"user": None, "row": None, "data": {}}
first_touched = pytest.mark.parametrize("first", FIRST)


def rows_of(user):
    return UserSession.objects.for_user(user)


def is_of(seen, user, session):
    return (seen["user"], seen["row"]) == (user.get_username(), str(session.pk))


# A new store of the same class in request.session


@first_touched
def test_a_replaced_store_is_the_same_login(browser, user, engine, first):
    session = browser.log_in(user)
    browser.get("put/?cart=book")
    seen = browser.seen(f"replace/?first={first}")
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"


@few_engines
@first_touched
def test_what_is_written_to_a_replaced_store_is_kept(browser, user, engine, first):
    session = browser.log_in(user)
    browser.seen(f"replace/?first={first}&cart=book")
    seen = browser.seen()
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"


def test_a_replaced_store_of_an_ended_login_is_nobodys(browser, user, engine):
    browser.log_in(user)
    rows_of(user).revoke("stolen")
    assert browser.seen("replace/") == NOBODY
    assert browser.seen() == NOBODY


@few_engines
def test_a_replaced_store_of_a_guest_is_the_guests(browser, user, engine):
    browser.get("put/?cart=book")
    assert browser.seen("replace/?first=data") == {"user": None, "row": None, "data": {"cart": "book"}}
    assert not UserSession.objects.exists()


@few_engines
@first_touched
def test_a_login_in_a_replaced_store_starts_its_row(browser, user, engine, first):
    browser.get("put/?cart=book")
    response = browser.post(f"replace-and-login/?first={first}", {"username": user.get_username()})
    assert response.status_code == 200, response.content.decode()[:2000]
    session = rows_of(user).active().get()
    for seen in (response.json(), browser.seen()):
        assert is_of(seen, user, session)
        assert seen["data"]["cart"] == "book"
    rows_of(user).revoke("stolen")
    assert browser.seen() == NOBODY


@few_engines
@first_touched
def test_a_logout_in_a_replaced_store_ends_its_row(browser, user, engine, first):
    session = browser.log_in(user)
    assert browser.seen(f"replace-and-logout/?first={first}") == NOBODY
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.LOGOUT
    assert browser.seen() == NOBODY


@few_engines
def test_a_request_whose_store_is_replaced_is_activity(browser, user, engine, later):
    session = browser.log_in(user)
    later(61)
    browser.seen("replace/?first=user")
    session.refresh_from_db()
    assert session.last_activity_at == timezone.now()


# The store of a token in request.session, and the lazy user resolved anew

# The two ways to resolve the user anew, each with two of what was read before. The second is Django's own
# get_user(), which reads the store as it is: with an engine of Django's that is nobody's to verify.
WAYS = [("emptied", "nothing"), ("emptied", "user"), ("new", "row"), ("new", "data")]
TOKENS = [(engine, *way) for engine in FEW for way in WAYS if engine.is_verified or way[0] == "emptied"]
tokens = pytest.mark.parametrize(("engine", "way", "first"), TOKENS, indirect=["engine"], ids=str)


@tokens
@pytest.mark.parametrize("has_cookie", [False, True])
def test_the_account_of_a_token_answers_and_not_that_of_the_cookie(
    browser, another, user, engine, way, first, has_cookie
):
    app = another()
    session = app.log_in(user)
    other = browser.log_in(UserFactory()) if has_cookie else None
    headers = {"X-Token": app.cookie, "X-Way": way}
    assert is_of(browser.seen(f"token/seen/?first={first}", **headers), user, session)
    if other:
        assert is_of(browser.seen(), other.user, other)


@tokens
@pytest.mark.parametrize("has_cookie", [False, True])
def test_a_token_whose_row_was_revoked_is_nobodys(browser, another, user, engine, way, first, has_cookie):
    app = another()
    app.log_in(user)
    if has_cookie:
        browser.log_in(UserFactory())
    rows_of(user).revoke("stolen")
    seen = browser.seen(f"token/seen/?first={first}", **{"X-Token": app.cookie, "X-Way": way})
    assert (seen["user"], seen["row"]) == (None, None)


@tokens
def test_a_cookie_does_not_answer_where_a_token_is_asked_for(browser, user, engine, way, first):
    browser.log_in(user)
    seen = browser.seen(f"token/seen/?first={first}", **{"X-Way": way})
    assert seen == NOBODY


@tokens
def test_a_login_for_a_token_leaves_the_account_of_the_cookie_alone(browser, user, engine, way, first):
    """Such a page is exempt from CSRF: another site can make a browser post to it."""
    session = browser.log_in(user)
    attacker = UserFactory()
    data = {"username": attacker.get_username()}
    response = browser.post(f"token/login/?first={first}", data, **{"X-Way": way})
    assert response.json()["user"] == attacker.get_username()
    assert is_of(browser.seen(), user, session)
    assert rows_of(attacker).active().count() == 1


@tokens
def test_a_login_for_a_token_starts_a_row_of_its_own(browser, user, engine, way, first):
    data = {"username": user.get_username()}
    seen = browser.post(f"token/login/?first={first}", data, **{"X-Way": way}).json()
    assert is_of(seen, user, rows_of(user).active().get())
    assert browser.seen() == NOBODY


@tokens
def test_a_logout_by_a_token_ends_its_row_and_no_other(browser, another, user, engine, way, first):
    app = another()
    session = app.log_in(user)
    other = browser.log_in(UserFactory())
    headers = {"X-Token": app.cookie, "X-Way": way}
    browser.seen(f"token/logout/?first={first}", **headers)
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.LOGOUT
    assert browser.seen("token/seen/", **headers)["user"] is None
    assert is_of(browser.seen(), other.user, other)


@tokens
def test_a_token_in_use_does_not_idle_out(browser, another, user, engine, way, first, settings, later):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 600}
    app = another()
    app.log_in(user)
    headers = {"X-Token": app.cookie, "X-Way": way}
    for _ in range(3):
        later(400)
        assert browser.seen(f"token/seen/?first={first}", **headers)["user"] == user.get_username()


# Copies of the store, and those of its class


def can_be(how, engine):
    # A local-memory cache, which these two hold, takes no copy and no pickle of itself.
    return how in ("copy", "new") or engine.name not in ("cache", "cached_db")


COPIES = [(how, engine) for how in site.COPIES for engine in FEW if can_be(how, engine)]
copies = pytest.mark.parametrize(("how", "engine"), COPIES, indirect=["engine"], ids=str)


@copies
@pytest.mark.parametrize("first", ["nothing", "data"])
def test_a_copy_of_the_store_reads_what_the_store_reads(browser, user, engine, how, first):
    browser.log_in(user)
    browser.get("put/?cart=book")
    assert browser.seen(f"copied/?how={how}&first={first}") == browser.seen()["data"]


@copies
def test_a_copy_that_is_read_after_a_revoke_is_empty(browser, user, engine, how, monkeypatch):
    browser.log_in(user)
    browser.get("put/?cart=book")
    monkeypatch.setattr(site.meanwhile, "act", lambda: rows_of(user).revoke("stolen"))
    assert browser.seen(f"copied/?how={how}&first=nothing") == {}


# Read outside of a request


@verified_engines
@pytest.mark.parametrize("end", ["revoke", "expire", "delete"])
def test_a_store_read_outside_of_a_request_is_verified(browser, user, engine, end):
    browser.log_in(user)
    browser.get("put/?cart=book")
    key = browser.cookie
    assert engine.store(key).get("cart") == "book"
    assert async_to_sync(engine.store(key).aget)("cart") == "book"
    rows = rows_of(user)
    if end == "revoke":
        rows.revoke("stolen")
    elif end == "expire":
        rows.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        rows.delete()
    assert dict(engine.store(key).items()) == {}
    assert dict(async_to_sync(engine.store(key).aitems)()) == {}


@verified_engines
def test_a_store_saved_outside_of_a_request_keeps_the_login(browser, user, engine):
    session = browser.log_in(user)
    store = engine.store(browser.cookie)
    store["cart"] = "book"
    store.save()
    browser.client.cookies["sessionid"] = store.session_key
    seen = browser.seen()
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"


@verified_engines
def test_a_store_flushed_outside_of_a_request_ends_the_login(browser, user, engine):
    session = browser.log_in(user)
    engine.store(browser.cookie).flush()
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.LOGOUT
    assert browser.seen() == NOBODY


@verified_engines
def test_a_store_saved_after_a_revoke_brings_nobody_back(browser, user, engine):
    browser.log_in(user)
    store = engine.store(browser.cookie)
    store["cart"] = "book"
    rows_of(user).revoke("stolen")
    with suppress(UpdateError):  # Django's word for a session that is gone, and as good
        store.save()
    assert browser.seen() == NOBODY
    assert dict(engine.store(store.session_key).items()) == {}


@pytest.mark.django_db(transaction=True)
@few_engines
def test_a_thread_reads_verified_data(browser, user, engine, monkeypatch):
    """By a store of the class that the request's store has, in a thread that knows no request."""
    browser.log_in(user)
    browser.get("put/?cart=book")
    assert in_a_thread(lambda: browser.seen("copied/?how=new"))["cart"] == "book"
    read = []

    def read_in_a_thread():
        key = browser.cookie
        read.append(in_a_thread(lambda: dict(engine.store(key).items())))

    if engine.is_verified:
        monkeypatch.setattr(site.meanwhile, "act", read_in_a_thread)
        browser.seen("copied/?how=new&first=data")
        rows_of(user).revoke("stolen")
        browser.seen("copied/?how=new&first=data")
        assert [data.get("cart") for data in read] == ["book", None]
        assert read[1] == {}


@pytest.mark.django_db(transaction=True)
@few_engines
@pytest.mark.parametrize(
    "reads", [lambda request: request.user.pk, lambda request: len(request.session.keys())]
)
def test_a_request_that_is_read_in_a_thread_is_activity(browser, user, engine, doing, later, reads):
    session = browser.log_in(user)
    later(61)
    doing(lambda request: in_a_thread(lambda: reads(request)) and None)
    assert browser.get("do/").status_code == 200
    session.refresh_from_db()
    assert session.last_activity_at == timezone.now()


@pytest.mark.django_db(transaction=True)
@few_engines
def test_a_login_in_a_thread_that_is_answered_by_an_error_leaves_no_active_row(browser, user, engine, doing):
    """F27"""

    def view(request):
        in_a_thread(lambda: login(request, user, site.BACKEND))
        return HttpResponse(status=500)

    doing(view)
    browser.get("do/")
    assert not rows_of(user).active().exists()


@pytest.fixture
def change_secret_key(settings):
    """As a deployment does: the old key is still known."""

    def change():
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another secret key of the same site, and long enough"

    return change


@verified_engines
def test_a_store_read_outside_of_a_request_after_a_new_secret_key_signs_nobody_out(
    browser, user, engine, change_secret_key
):
    """Nobody could give the browser a new session key."""
    session = browser.log_in(user)
    change_secret_key()
    assert engine.store(browser.cookie).get("_auth_user_id") == str(user.pk)
    assert is_of(browser.seen(), user, session)


@few_engines
def test_a_copy_read_after_a_new_secret_key_signs_nobody_out(
    browser, user, engine, change_secret_key, monkeypatch
):
    session = browser.log_in(user)
    change_secret_key()
    assert browser.seen("copied/?how=new&first=nothing")["_auth_user_id"] == str(user.pk)
    assert is_of(browser.seen(), user, session)


@pytest.mark.parametrize("name", ENGINES)
def test_nobody_is_logged_out_by_a_change_of_engine(browser, another, user, settings, name):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{name}"
    session = browser.log_in(user)
    browser.get("put/?cart=book")
    for package in ("sessions_ext.engines", "django.contrib.sessions.backends"):
        settings.SESSION_ENGINE = f"{package}.{name}"
        after = another()  # the middleware reads the setting once
        after.client.cookies = browser.client.cookies
        seen = after.seen()
        assert is_of(seen, user, session)
        assert seen["data"]["cart"] == "book"


# An error of the database while a login is verified


class Failing:
    """Fails statements about the rows, as many times as it is told."""

    def __init__(self, times):
        self.left = times

    def __call__(self, execute, sql, params, many, context):
        if "sessions_ext_usersession" in sql and self.left > 0:
            self.left -= 1
            raise OperationalError("the server closed the connection unexpectedly")
        return execute(sql, params, many, context)


def test_an_error_leaves_no_data_of_an_ended_login_behind(browser, user, engine):
    """F25: the error is caught, and then the data is read."""
    browser.log_in(user)
    browser.get("put/?cart=book")
    rows_of(user).revoke("stolen")
    with connection.execute_wrapper(Failing(times=1)):
        assert browser.seen("error-then-data/") == NOBODY


@few_engines
def test_an_error_that_lasts_gives_no_data_out(browser, user, engine):
    """F25"""
    browser.log_in(user)
    browser.get("put/?cart=book")
    rows_of(user).revoke("stolen")
    with connection.execute_wrapper(Failing(times=1000)):
        response = browser.get("error-then-data/")
    assert b"book" not in response.content
    assert user.get_username().encode() not in response.content


@few_engines
def test_an_error_that_passes_signs_nobody_out(browser, user, engine):
    session = browser.log_in(user)
    browser.get("put/?cart=book")
    with connection.execute_wrapper(Failing(times=1)):
        seen = browser.seen("error-then-data/")
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"
    assert is_of(browser.seen(), user, session)
