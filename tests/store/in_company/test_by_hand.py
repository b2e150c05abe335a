"""What other code does by hand: another kind of object for a session, and data of its own making."""

import copy

import pytest
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils.functional import SimpleLazyObject

from sessions_ext.store import verified
from tests.store.in_company.conftest import few_engines
from tests.store.in_company.test_reads import is_of, rows_of

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
