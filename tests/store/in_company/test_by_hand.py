"""What other code does by hand: another kind of object for a session, and data of its own making."""

import copy

import pytest
from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.http import HttpResponse
from django.utils.functional import SimpleLazyObject

from sessions_ext.models import RevokedReason
from sessions_ext.store import verified
from tests.store.in_company import site
from tests.store.in_company.conftest import Browser, few_engines
from tests.store.in_company.site import BACKEND
from tests.store.in_company.test_reads import NOBODY, is_of, rows_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.store.in_company.site")]


# Another kind of object for a session


@few_engines
def test_a_dict_for_a_session_is_nobodys(browser, user, engine, doing):
    """As some sites do for the pages that need no session."""
    browser.log_in(user)
    found = []

    def view(request):
        request.session = {}
        found.append((request.user.get_username(), bool(request.user_session)))

    doing(view)
    assert browser.get("do/").status_code == 200
    assert found == [("", False)]


@few_engines
def test_a_lazy_object_for_a_session_is_verified(browser, user, engine, doing):
    session = browser.log_in(user)
    browser.get("put/?cart=book")
    found = []

    def view(request):
        key = request.session.session_key
        request.session = SimpleLazyObject(lambda: engine.store(key))
        row = request.user_session.pk if request.user_session else None
        found.append((request.session.get("cart"), request.user.get_username(), row))

    doing(view)
    assert browser.get("do/").status_code == 200
    rows_of(user).revoke("stolen")
    assert browser.get("do/").status_code == 200
    assert found == [("book", user.get_username(), session.pk), (None, "", None)]


@few_engines
def test_a_store_that_was_taken_out_of_its_request_is_verified(browser, user, engine, doing):
    browser.log_in(user)
    browser.get("put/?cart=book")
    found = []

    def view(request):
        store = request.session
        del request.session
        found.append((store.get("cart"), copy.copy(store).get("cart")))
        store.flush()

    doing(view)
    assert browser.get("do/").status_code == 200
    assert found == [("book", "book")]
    assert not rows_of(user).active().exists()


class StoreOfTheProjects(DatabaseStore):
    """An engine's class may have any name. Django signs the data with it."""


def test_an_engine_whose_class_has_another_name_reads_what_it_wrote(browser, user, settings, monkeypatch):
    settings.SESSION_ENGINE = __name__
    monkeypatch.setitem(globals(), "SessionStore", StoreOfTheProjects)
    session = browser.log_in(user)
    browser.get("put/?cart=book")
    assert is_of(browser.seen(), user, session)
    for engine_store in (StoreOfTheProjects, verified(StoreOfTheProjects)):
        assert engine_store(browser.cookie).get("cart") == "book"


# Data of its own making

DJANGOS_KEYS = (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY)


def empty(request):
    request.session.clear()


def empty_one_by_one(request):
    for key in list(request.session.keys()):
        del request.session[key]


empties = pytest.mark.parametrize("emptying", [empty, empty_one_by_one])


@few_engines
@empties
def test_who_empties_the_data_logs_out(browser, user, engine, doing, emptying):
    session = browser.log_in(user)
    found = []

    def view(request):
        request.session.get("cart")
        emptying(request)
        found.append((request.user.get_username(), bool(request.user_session)))

    doing(view)
    assert browser.get("do/").status_code == 200
    assert found == [("", False)]
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.LOGOUT
    assert browser.seen() == NOBODY


@few_engines
@empties
def test_who_empties_the_data_with_an_error_logs_nobody_out(browser, user, engine, doing, emptying):
    """Django saves no session then."""
    session = browser.log_in(user)

    def view(request):
        emptying(request)
        return HttpResponse(status=500)

    doing(view)
    browser.get("do/")
    assert is_of(browser.seen(), user, session)


@few_engines
def test_who_removes_all_but_djangos_own_keys_keeps_the_row(browser, user, engine, doing):
    session = browser.log_in(user)
    browser.get("put/?cart=book")

    def view(request):
        for key in set(request.session.keys()) - {*DJANGOS_KEYS}:
            del request.session[key]

    doing(view)
    assert browser.get("do/").status_code == 200
    seen = browser.seen()
    assert is_of(seen, user, session)
    assert "cart" not in seen["data"]
    assert rows_of(user).count() == 1


@few_engines
@pytest.mark.parametrize("then", ["nothing", "logout"])
def test_data_that_is_copied_to_a_new_store_takes_the_login_along(browser, user, engine, doing, then):
    session = browser.log_in(user)
    found = []

    def view(request):
        store = type(request.session)()
        store.update(dict(request.session.items()))
        request.session = store
        if then == "logout":
            return auth.logout(request)
        return found.append((request.user.get_username(), request.user_session.pk))

    doing(view)
    assert browser.get("do/").status_code == 200
    if then == "logout":
        session.refresh_from_db()
        assert session.revoked_reason == RevokedReason.LOGOUT
        assert browser.seen() == NOBODY
    else:
        assert found == [(user.get_username(), session.pk)]
        assert is_of(browser.seen(), user, session)


@few_engines
def test_data_of_an_ended_login_that_is_copied_to_a_new_store_is_nobodys(browser, user, engine, doing):
    browser.log_in(user)
    found = []

    def view(request):
        data = dict(request.session.items())
        rows_of(user).revoke("stolen")
        request.session = type(request.session)()
        request.session.update(data)
        found.append((request.user.get_username(), bool(request.user_session), dict(request.session.items())))

    doing(view)
    assert browser.get("do/").status_code == 200
    assert found == [("", False, {})]
    assert browser.seen() == NOBODY


@few_engines
@pytest.mark.django_db(transaction=True)
def test_a_login_that_is_written_by_hand_has_its_row_at_its_next_request(browser, user, engine, doing):
    found = []

    def view(request):
        values = (str(user.pk), BACKEND, user.get_session_auth_hash())
        request.session.update(dict(zip(DJANGOS_KEYS, values, strict=True)))
        found.append((request.user.get_username(), bool(request.user_session)))

    doing(view)
    assert browser.get("do/").status_code == 200
    assert found == [(user.get_username(), False)]
    assert is_of(browser.seen(), user, rows_of(user).active().get())


def test_async_code_sees_a_login_that_is_written_by_hand(user, monkeypatch):
    found = []

    async def view(request):
        values = (str(user.pk), BACKEND, user.get_session_auth_hash())
        await request.session.aupdate(dict(zip(DJANGOS_KEYS, values, strict=True)))
        found.append(((await request.auser()).get_username(), await request.auser_session()))

    monkeypatch.setattr(site.page, "ado", view)
    assert Browser(is_async=True).get("do/").status_code == 200
    assert found == [(user.get_username(), None)]
