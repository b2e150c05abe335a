"""A slow request, and what happens meanwhile in the same browser or elsewhere."""

from functools import partial

import pytest
from django.contrib.auth import login, logout

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.store.in_company import site
from tests.store.in_company.conftest import DJANGOS, VERIFIED, Browser, few_engines
from tests.store.in_company.test_reads import NOBODY, is_of, rows_of

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.urls("tests.store.in_company.site")]

COOKIE = "sessionid"


@pytest.fixture
def while_slow(browser, monkeypatch):
    """GET the slow page, and call `act` while its view is at work."""

    def visit(first, then, act, user=None):
        monkeypatch.setattr(site.meanwhile, "act", act)
        path = f"slow/?first={first}&then={then}"
        return browser.post(path, {"username": user.get_username()}) if user else browser.get(path)

    return visit


def acts_in_another_tab(browser, *acts):
    """The same browser: `acts` are paths to visit, users to log in, and calls."""
    tab = browser.same_in_sync()

    def act():
        for each in acts:
            if callable(each):
                each()
            elif isinstance(each, str):
                assert tab.get(each).status_code == 200
            else:
                assert tab.post("login/", {"username": each.get_username()}).status_code == 200

    return act


firsts = pytest.mark.parametrize("first", ["user", "data"])
then = pytest.mark.parametrize("then", ["nothing", "write", "save", "cycle"])


# The login of a request under way has ended


@few_engines
@firsts
@then
def test_a_late_answer_leaves_the_cookie_of_the_new_login_alone(
    browser, user, engine, while_slow, first, then
):
    """F26: the browser logged out and in again while the page was slow."""
    browser.log_in(user)
    response = while_slow(first, then, acts_in_another_tab(browser, "logout/", user))
    assert response.status_code == 200
    assert COOKIE not in response.cookies
    assert is_of(browser.seen(), user, rows_of(user).active().get())


@few_engines
@then
def test_a_late_answer_leaves_the_cookie_of_another_account_alone(browser, user, engine, while_slow, then):
    """F26: the browser is somebody else's by now."""
    browser.log_in(user)
    other = UserFactory()
    response = while_slow("user", then, acts_in_another_tab(browser, "logout/", other))
    assert response.status_code == 200
    assert COOKIE not in response.cookies
    assert is_of(browser.seen(), other, rows_of(other).active().get())
    assert not rows_of(user).active().exists()


@few_engines
@firsts
@then
def test_a_late_answer_after_a_revoke_leaves_the_cookie_of_the_new_login_alone(
    browser, user, engine, while_slow, first, then
):
    """F26: somebody ended the session, and the person has logged in again while the page was slow."""
    browser.log_in(user)
    end = partial(rows_of(user).revoke, "stolen")
    response = while_slow(first, then, acts_in_another_tab(browser, end, user))
    assert response.status_code == 200
    assert COOKIE not in response.cookies
    assert is_of(browser.seen(), user, rows_of(user).active().get())


@few_engines
@firsts
@pytest.mark.parametrize("then", ["nothing", "write", "save", "cycle", "logout"])
def test_an_answer_after_a_revoke_is_as_good_as_any_and_lets_nobody_in(
    browser, user, engine, while_slow, first, then
):
    browser.log_in(user)
    response = while_slow(first, then, partial(rows_of(user).revoke, "stolen"))
    assert response.status_code == 200
    assert browser.seen() == NOBODY


@few_engines
def test_a_logout_after_a_new_login_ends_no_other_session(browser, user, engine, while_slow):
    """Whoever logs out wants the cookie gone, of whichever login it is by now."""
    session = browser.log_in(user)
    response = while_slow("user", "logout", acts_in_another_tab(browser, "logout/", user))
    assert response.status_code == 200
    session.refresh_from_db()
    assert session.revoked_reason == "logout"
    assert rows_of(user).active().count() == 1


@few_engines
def test_a_late_save_does_not_keep_the_data_of_an_ended_login(browser, user, engine, while_slow):
    browser.log_in(user)
    key = browser.cookie
    while_slow("user", "write", acts_in_another_tab(browser, "logout/"))
    for cookie in {key, browser.cookie}:
        thief = Browser(browser.is_async)
        thief.client.cookies[COOKIE] = cookie
        assert thief.seen() == NOBODY


@few_engines
@firsts
def test_a_login_after_a_revoke_in_the_same_request_takes_hold(browser, user, engine, while_slow, first):
    browser.log_in(user)
    response = while_slow(first, "login", partial(rows_of(user).revoke, "stolen"), user)
    assert response.status_code == 200
    assert is_of(browser.seen(), user, rows_of(user).active().get())


@few_engines
def test_a_late_login_that_a_newer_one_has_ended_leaves_the_cookie_alone(
    browser, user, engine, settings, doing
):
    """F26: whoever presses the button twice is signed in by the second login."""
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    sign_in_again = acts_in_another_tab(browser, user)

    def view(request):
        login(request, user, site.BACKEND)
        sign_in_again()

    doing(view)
    assert COOKIE not in browser.get("do/").cookies
    assert is_of(browser.seen(), user, rows_of(user).active().get())


def does_something_after(get_response):
    """Writes to the session, or takes its time, when the view has answered."""

    def middleware(request):
        response = get_response(request)
        site.meanwhile.act(request)
        return response

    return middleware


@pytest.fixture
def after_the_view(settings, monkeypatch):
    """Sets what a middleware between Django's two does with the request of the page "do/" afterwards."""
    middleware = settings.MIDDLEWARE
    settings.MIDDLEWARE = [middleware[0], f"{__name__}.does_something_after", *middleware[1:]]

    def set_act(act):
        monkeypatch.setattr(
            site.meanwhile, "act", lambda request: request.path.endswith("do/") and act(request)
        )

    monkeypatch.setattr(site.meanwhile, "act", lambda request: None)
    return set_act


@few_engines
def test_what_is_written_late_after_the_view_leaves_the_cookie_alone(
    browser, user, engine, doing, after_the_view
):
    """F26: as Django's CSRF_USE_SESSIONS may do."""
    browser.log_in(user)
    act = acts_in_another_tab(browser, "logout/", user)

    def view(request):
        request.user.get_username()
        act()

    doing(view)
    after_the_view(lambda request: request.session.update({"cart": "late"}))
    assert COOKIE not in browser.get("do/").cookies
    assert is_of(browser.seen(), user, rows_of(user).active().get())


@few_engines
def test_what_is_written_after_the_view_is_kept(browser, user, engine, doing, after_the_view):
    session = browser.log_in(user)
    doing(lambda request: request.user.pk and None)
    after_the_view(lambda request: request.session.update({"cart": "book"}))
    assert browser.get("do/").status_code == 200
    seen = browser.seen()
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"


@pytest.mark.parametrize("engine", [DJANGOS[0], VERIFIED[0]], indirect=True, ids=str)
def test_a_login_that_ends_after_the_view_leaves_the_cookie_alone(
    browser, user, engine, doing, after_the_view
):
    """F26: between the last look at the row and the save."""
    browser.log_in(user)
    act = acts_in_another_tab(browser, "logout/", user)
    doing(lambda request: request.session.update({"cart": "late"}))
    after_the_view(lambda request: act())
    assert COOKIE not in browser.get("do/").cookies
    assert is_of(browser.seen(), user, rows_of(user).active().get())


def revokes_all(request):
    rows_of(request.user).revoke("everywhere")


def revokes_its_own(request):
    request.user_session.revoke("here")


def deletes_the_account(request):
    request.user.delete()


@few_engines
@pytest.mark.parametrize("ends", [revokes_all, revokes_its_own, deletes_the_account])
@pytest.mark.parametrize("says_goodbye", [False, True])
def test_a_logout_of_a_session_that_the_same_request_has_ended_is_not_late(
    browser, user, engine, doing, ends, says_goodbye
):
    browser.log_in(user)

    def view(request):
        request.user.get_username()
        ends(request)
        logout(request)
        if says_goodbye:
            request.session["goodbye"] = "come again"

    doing(view)
    cookie = browser.get("do/").cookies[COOKIE].value
    assert bool(cookie) is says_goodbye
    assert browser.seen() == {**NOBODY, "data": {"goodbye": "come again"} if says_goodbye else {}}


# The same user has logged in again


@pytest.mark.parametrize("engine", [DJANGOS[0], VERIFIED[0]], indirect=True, ids=str)
def test_the_key_after_a_new_login_is_the_one_that_the_view_may_hand_out(
    browser, another, user, engine, doing
):
    """As an app's API does with the session key, which is its token."""
    session = browser.log_in(user)
    old, keys = browser.cookie, []

    def view(request):
        login(request, user, site.BACKEND)
        keys.append(request.session.session_key)

    doing(view)
    assert browser.get("do/").status_code == 200
    assert browser.cookie == keys[0] != old
    assert is_of(browser.seen(), user, session)
    late = another()
    late.client.cookies[COOKIE] = old
    assert late.seen() == NOBODY


@few_engines
def test_a_logout_after_a_new_login_in_one_request_leaves_no_data_behind(browser, user, engine, doing):
    browser.log_in(user)
    old = browser.cookie

    def view(request):
        login(request, user, site.BACKEND)
        logout(request)

    doing(view)
    assert browser.get("do/").status_code == 200
    assert browser.seen() == NOBODY
    assert not rows_of(user).active().exists()
    assert engine.name == "signed_cookies" or not engine.store().exists(old)


# One that reads nothing before, and then writes, is a guest's with a session of its own, as in Django.
@few_engines
@pytest.mark.parametrize(
    ("first", "then"),
    [("nothing", "nothing"), *((f, t) for f in ("user", "data") for t in ("nothing", "write", "save"))],
)
def test_a_request_with_the_cookie_before_a_new_login_signs_nobody_out(
    browser, user, engine, while_slow, first, then
):
    session = browser.log_in(user)
    response = while_slow(first, then, acts_in_another_tab(browser, user))
    assert response.status_code == 200
    assert is_of(browser.seen(), user, session)
    assert UserSession.objects.count() == 1


# The password was changed


def test_a_cookie_from_before_a_password_change_is_nobodys_and_ends_nobody(browser, another, user, engine):
    """The person is signed in by a newer cookie; the old one comes late."""
    session = browser.log_in(user)
    late = another()
    late.client.cookies[COOKIE] = browser.cookie
    assert browser.post("password/", {"password": "another"}).status_code == 200
    assert late.seen() == NOBODY
    assert is_of(browser.seen(), user, session)


@few_engines
@pytest.mark.parametrize("first", ["user", "data"])
@pytest.mark.parametrize("then", ["nothing", "write"])
def test_a_password_change_survives_a_slow_request(browser, user, engine, while_slow, first, then):
    session = browser.log_in(user)
    tab = browser.same_in_sync()
    while_slow(first, then, lambda: tab.post("password/", {"password": "another"}))
    session.refresh_from_db()
    assert session.is_active
    # A signed cookie that is written late holds the hash from before, in Django alone as well.
    if (engine.name, then) != ("signed_cookies", "write"):
        assert is_of(browser.seen(), user, session)
