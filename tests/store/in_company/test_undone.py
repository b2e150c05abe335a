"""What a transaction or an error of the server has undone, though the data of the session tells of it; and
the order in which a password is changed."""

import pytest
from django.contrib.auth import HASH_SESSION_KEY, get_user_model, login, update_session_auth_hash
from django.db import transaction
from django.http import HttpResponse

from sessions_ext.models import RevokedReason
from tests.store.in_company.conftest import few_engines
from tests.store.in_company.site import BACKEND
from tests.store.in_company.test_reads import NOBODY, is_of, rows_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.store.in_company.site")]


class UndoneError(Exception):
    pass


def undone(act):
    """A view that goes on after what it did was rolled back."""

    def view(request):
        try:
            with transaction.atomic():
                act(request)
                raise UndoneError
        except UndoneError:
            request.session["cart"] = "book"

    return view


def change_password(request):
    user = get_user_model()._default_manager.get(pk=request.user.pk)
    user.set_password("another")
    user.save()


@few_engines
def test_a_change_of_password_that_is_undone_signs_nobody_out(browser, another, user, engine, doing):
    session, other = browser.log_in(user), another().log_in(user)
    doing(undone(change_password))
    assert browser.get("do/").status_code == 200
    seen = browser.seen()
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"
    other.refresh_from_db()
    assert other.is_active


@few_engines
def test_a_new_login_that_is_undone_signs_nobody_out(browser, user, engine, doing):
    session = browser.log_in(user)
    doing(undone(lambda request: login(request, user, BACKEND)))
    assert browser.get("do/").status_code == 200
    seen = browser.seen()
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"


@few_engines
def test_a_login_that_is_undone_leaves_the_guest_as_before(browser, user, engine, doing):
    browser.get("put/?cart=mine")
    doing(undone(lambda request: login(request, user, BACKEND)))
    assert "sessionid" not in browser.get("do/").cookies
    assert browser.seen() == {"user": None, "row": None, "data": {"cart": "mine"}}
    assert not rows_of(user).exists()


# A new session key with an answer by an error: Django sets no cookie then


def failing(act):
    def view(request):
        act(request)
        return HttpResponse(status=500)

    return view


@few_engines
def test_a_new_key_with_an_error_signs_nobody_out(browser, user, engine, doing):
    session = browser.log_in(user)
    doing(failing(lambda request: request.session.cycle_key()))
    browser.get("do/")
    assert is_of(browser.seen(), user, session)


@few_engines
def test_an_error_after_a_new_secret_key_signs_nobody_out(browser, user, engine, doing, settings):
    session = browser.log_in(user)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret key of the same site, and long enough"
    doing(failing(lambda request: request.user.get_username()))
    browser.get("do/")
    assert is_of(browser.seen(), user, session)


@few_engines
def test_a_change_of_password_with_an_error_leaves_no_active_row(browser, user, engine, doing):
    """F27: the browser has the old hash, with which nobody is signed in."""
    session = browser.log_in(user)
    doing(failing(saves_and_updates))
    browser.get("do/")
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.PASSWORD_CHANGE
    assert browser.seen() == NOBODY


@few_engines
def test_a_change_of_password_that_an_error_has_undone_signs_nobody_out(browser, user, engine, doing):
    session = browser.log_in(user)

    @transaction.atomic
    def view(request):
        saves_and_updates(request)
        raise UndoneError

    doing(view)
    assert browser.get("do/").status_code == 500
    assert is_of(browser.seen(), user, session)


# The order in which a password is changed


def saves_and_updates(request):
    user = request.user
    user.set_password("another")
    user.save()
    update_session_auth_hash(request, user)


def updates_before_save(request):
    user = request.user
    user.set_password("another")
    update_session_auth_hash(request, user)
    user.save()


def writes_the_hash(request):
    user = request.user
    user.set_password("another")
    user.save()
    request.session[HASH_SESSION_KEY] = user.get_session_auth_hash()


@few_engines
@pytest.mark.parametrize("change", [saves_and_updates, updates_before_save, writes_the_hash])
def test_a_change_of_password_in_any_order_keeps_its_own_session(
    browser, another, user, engine, doing, change
):
    session, other = browser.log_in(user), another().log_in(user)
    doing(change)
    assert browser.get("do/").status_code == 200
    assert is_of(browser.seen(), user, session)
    other.refresh_from_db()
    assert other.revoked_reason == RevokedReason.PASSWORD_CHANGE


@few_engines
def test_a_change_of_password_that_does_not_renew_the_hash_still_ends_its_session(
    browser, user, engine, doing
):
    session = browser.log_in(user)
    doing(change_password)
    assert browser.get("do/").status_code == 200
    assert browser.seen() == NOBODY
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.PASSWORD_CHANGE
