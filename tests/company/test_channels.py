"""Channels in a real server: who a new websocket is, and logins and logouts over it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from sessions_ext.models import RevokedReason, UserSession
from tests.company.servers import Socket, serving
from tests.company.sockets import channels_own
from tests.store.in_company.conftest import DJANGOS, VERIFIED, verified_engines
from tests.store.in_company.test_reads import NOBODY, is_of, rows_of

pytestmark = pytest.mark.django_db(transaction=True)

all_engines = pytest.mark.parametrize("engine", [*DJANGOS, *VERIFIED], indirect=True, ids=str)
two_engines = pytest.mark.parametrize("engine", [DJANGOS[0], VERIFIED[0]], indirect=True, ids=str)


def by_ours():
    from tests.company.session_sockets import ours

    return ours()


@pytest.fixture
def open_socket():
    """Opens websockets that are closed at the end."""
    opened = []

    def open_one(*args, **headers):
        opened.append(Socket(*args, **headers))
        return opened[-1]

    yield open_one
    for socket in opened:
        socket.close()


@pytest.fixture
def channels_server(engine):
    """With Channels' own AuthMiddlewareStack."""
    with serving(channels_own()) as server:
        yield server


@pytest.fixture
def server(engine):
    """With the stack of the app."""
    with serving(by_ours()) as server:
        yield server


def end(rows, how):
    match how:
        case "revoke":
            rows.revoke("stolen")
        case "expire":
            rows.update(expires_at=timezone.now() - timedelta(seconds=1))
        case "delete":
            rows.delete()


def of_each_end(engines):
    """A revoke with each of the engines, the other ends with one."""
    cases = [("revoke", engine) for engine in engines] + [("expire", engines[0]), ("delete", engines[0])]
    return pytest.mark.parametrize(("how", "engine"), cases, indirect=["engine"], ids=str)


def come_back(browser, seen):
    """The browser goes on with the key that the session has by now."""
    browser.client.cookies["sessionid"] = seen["key"]
    return browser.seen()


# Channels' own stack: verified by the engine


@of_each_end(VERIFIED)
def test_a_new_websocket_of_an_ended_login_is_nobodys(
    channels_server, open_socket, browser, another, user, how
):
    browser.log_in(user)
    browser.get("put/?cart=book")
    seen = open_socket(channels_server, "account/", browser.cookie).ask()
    assert (seen["user"], seen["data"]["cart"]) == (user.get_username(), "book")
    end(rows_of(user), how)
    seen = open_socket(channels_server, "account/", browser.cookie).ask()
    assert (seen["user"], seen["data"]) == (None, {})


@verified_engines
def test_a_logout_by_channels_ends_the_row(channels_server, open_socket, browser, user):
    session = browser.log_in(user)
    cookie = browser.cookie
    seen = open_socket(channels_server, "account/", cookie).ask("logout")
    assert (seen["user"], seen["data"]) == (None, {})
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.LOGOUT
    assert browser.seen() == NOBODY
    assert open_socket(channels_server, "account/", cookie).ask()["user"] is None


@verified_engines
def test_a_login_by_channels_has_one_row(channels_server, open_socket, browser, user):
    browser.get("put/?cart=book")
    socket = open_socket(channels_server, "account/", browser.cookie)
    seen = come_back(browser, socket.ask("login", username=user.get_username()))
    session = rows_of(user).active().get()
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"
    session.refresh_from_db()
    rows_of(user).revoke("stolen")
    assert browser.seen() == NOBODY
    assert UserSession.objects.count() == 1


# The app's stack, whatever the engine


@of_each_end([*VERIFIED, *DJANGOS])
def test_the_scope_of_a_websocket_is_verified_at_connect(server, open_socket, browser, user, how):
    session = browser.log_in(user)
    browser.get("put/?cart=book")
    seen = open_socket(server, "account/", browser.cookie).ask()
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"
    end(rows_of(user), how)
    seen = open_socket(server, "account/", browser.cookie).ask()
    assert (seen["user"], seen["row"], seen["data"]) == (None, None, {})


@two_engines
def test_a_guest_has_a_websocket_and_no_row(server, open_socket, browser, user):
    browser.get("put/?cart=book")
    seen = open_socket(server, "account/", browser.cookie).ask()
    assert (seen["user"], seen["row"], seen["data"]) == (None, None, {"cart": "book"})
    seen = open_socket(server, "account/").ask()
    assert (seen["user"], seen["row"], seen["data"]) == (None, None, {})
    assert not UserSession.objects.exists()


@all_engines
def test_a_login_over_the_scope_starts_a_row_at_once(server, open_socket, browser, user):
    browser.get("put/?cart=book")
    socket = open_socket(server, "account/", browser.cookie, **{"User-Agent": "curl/8.5.0"})
    assert socket.ask()["user"] is None
    seen = socket.ask("login", username=user.get_username())
    session = rows_of(user).active().get()
    assert is_of(seen, user, session)
    assert (session.user_agent, session.ip_address) == ("curl/8.5.0", "127.0.0.1")
    seen = come_back(browser, seen)
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"
    assert UserSession.objects.count() == 1


@all_engines
def test_a_logout_over_the_scope_ends_its_row(server, open_socket, browser, another, user):
    session = browser.log_in(user)
    other = another().log_in(user)
    cookie = browser.cookie
    seen = open_socket(server, "account/", cookie).ask("logout")
    assert (seen["user"], seen["row"], seen["data"]) == (None, None, {})
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.LOGOUT
    assert list(rows_of(user).active()) == [other]
    assert browser.seen() == NOBODY
    assert open_socket(server, "account/", cookie).ask()["user"] is None


@two_engines
def test_a_login_over_the_scope_as_somebody_else_ends_the_row_before(
    server, open_socket, browser, another, user
):
    before = browser.log_in(user)
    other = another()
    other_user = type(user).objects.create_user("other")
    seen = open_socket(server, "account/", browser.cookie).ask("login", username="other")
    before.refresh_from_db()
    assert not before.is_active
    assert is_of(seen, other_user, rows_of(other_user).active().get())
    assert is_of(come_back(other, seen), other_user, rows_of(other_user).active().get())


@two_engines
def test_a_login_over_the_scope_that_the_limit_denies_is_nobodys(
    server, open_socket, browser, another, user, settings
):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    session = another().log_in(user)
    browser.get("put/?cart=book")
    seen = open_socket(server, "account/", browser.cookie).ask("login", username=user.get_username())
    # Not the scope's user: Channels sets it before it says that somebody logs in, and nobody can unset it.
    assert (seen["row"], seen["data"]) == (None, {"cart": "book"})
    assert list(UserSession.objects.all()) == [session]
    assert come_back(browser, seen) == {"user": None, "row": None, "data": {"cart": "book"}}


@two_engines
def test_what_a_websocket_saves_is_there_for_the_next_page(server, open_socket, browser, user):
    session = browser.log_in(user)
    open_socket(server, "account/", browser.cookie).ask("put", cart="book")
    seen = browser.seen()
    assert is_of(seen, user, session)
    assert seen["data"]["cart"] == "book"


@two_engines
def test_a_websocket_that_saves_after_a_revoke_brings_nobody_back(server, open_socket, browser, user):
    browser.log_in(user)
    socket = open_socket(server, "account/", browser.cookie)
    assert socket.ask()["user"] == user.get_username()
    rows_of(user).revoke("stolen")
    seen = socket.ask("put", cart="book")
    assert come_back(browser, seen)["user"] is None


@two_engines
def test_a_new_websocket_after_a_new_secret_key_signs_nobody_out(
    server, open_socket, browser, user, engine, settings
):
    """Sockets come back by themselves after a deployment, and cannot set a cookie."""
    session = browser.log_in(user)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret key of the same site, and long enough"
    assert open_socket(server, "account/", browser.cookie).ask()["user"] == user.get_username()
    assert is_of(browser.seen(), user, session)
