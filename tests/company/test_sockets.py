"""An open websocket is closed when its session ends: by the channel layer at once, or by a re-check."""

import time
from contextlib import closing
from datetime import timedelta

import pytest
from channels.auth import AuthMiddlewareStack
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels_redis.core import RedisChannelLayer
from django.db import connection, transaction
from django.urls import path
from django.utils import timezone

from sessions_ext.testing import UserFactory
from tests.company.servers import Socket, assert_within, serving
from tests.company.test_channels import by_ours
from tests.patience import SECONDS
from tests.store.in_company.conftest import DJANGOS, VERIFIED, Browser
from tests.store.in_company.test_reads import rows_of
from tests.test_redis import Redis

pytestmark = pytest.mark.django_db(transaction=True)

CLOSED = 4001
AT_ONCE = 2  # seconds after the revoke has returned
KINDS = ["async-raw", "sync-raw", "async-text", "sync-text", "async-json", "sync-json"]
kinds = pytest.mark.parametrize("kind", KINDS)


class Deaf(RedisChannelLayer):
    """Cannot send to a group."""

    async def group_send(self, group, message):
        raise ConnectionError("the layer is down")


def layer(url, name="channels_redis.core.RedisChannelLayer"):
    return {"default": {"BACKEND": name, "CONFIG": {"hosts": [url]}}}


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory):
    redis = Redis(tmp_path_factory.mktemp("redis"))
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
def at_once(settings, shared_redis):
    """With a channel layer, and no re-check while a test is under way."""
    settings.CHANNEL_LAYERS = layer(shared_redis.url)
    settings.SESSIONS_EXT = {"SOCKET_RECHECK": 600}


@pytest.fixture
def by_recheck(settings):
    """Without a channel layer, and with a re-check each second."""
    settings.CHANNEL_LAYERS = {}
    settings.SESSIONS_EXT = {"SOCKET_RECHECK": 1}


@pytest.fixture
def server():
    with serving(by_ours()) as server:
        yield server


@pytest.fixture
def open_as(server):
    """Log a user in, in a browser of its own, and open websockets of these kinds."""
    opened = []

    def open_all(user, *kinds):
        browser = Browser(is_async=False)
        browser.session = browser.log_in(user)
        sockets = [Socket(server, f"{kind}/", browser.cookie) for kind in kinds]
        opened.extend(sockets)
        for socket in sockets:
            socket.ask("ping")  # so that the server is done with the connect
        return browser, sockets

    yield open_all
    for socket in opened:
        socket.close()


def assert_closed(sockets, within):
    began = time.monotonic()
    assert [socket.code_of_close() for socket in sockets] == [CLOSED] * len(sockets)
    assert_within(within, began, time.monotonic())


# At once


@pytest.mark.usefixtures("at_once")
@kinds
def test_a_revoke_closes_the_sockets_of_its_session_and_no_others(open_as, user, kind):
    browser, sockets = open_as(user, kind, kind)
    _, others = open_as(user, kind)
    _, strangers = open_as(UserFactory(), kind)
    rows_of(user).filter(pk=browser.session.pk).revoke("stolen")
    assert_closed(sockets, within=AT_ONCE)
    assert [socket.ask("ping") for socket in others + strangers] == ["pong", "pong"]


@pytest.mark.usefixtures("at_once")
def test_a_revoke_of_everybody_closes_all(open_as, user):
    sockets = [socket for _ in range(3) for socket in open_as(user, *KINDS)[1]]
    assert rows_of(user).revoke("stolen") == 3
    assert_closed(sockets, within=AT_ONCE)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("how", ["logout", "logout elsewhere", "password", "disabled", "limit"])
def test_whatever_revokes_a_session_closes_its_sockets(open_as, user, settings, how):
    browser, sockets = open_as(user, "async-json", "sync-json")
    match how:
        case "logout":
            browser.get("logout/")
        case "logout elsewhere":
            open_as(user)[0].client.post(f"/devices/{browser.session.pk}/sign-out/")
        case "password":
            user.set_password("another")
            user.save()
        case "disabled":
            user.is_active = False
            user.save()
        case "limit":
            settings.SESSIONS_EXT = {"SOCKET_RECHECK": 600, "MAX_SESSIONS": 1}
            open_as(user)
    assert_closed(sockets, within=AT_ONCE)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "kind", ["async-text", "sync-text", "async-raw", "sync-raw", "async-json", "sync-json"]
)
def test_a_consumer_is_told_of_the_close(open_as, user, kind, monkeypatch):
    from tests.company import session_sockets

    told = []
    monkeypatch.setattr(session_sockets, "told", told)
    _, sockets = open_as(user, kind)
    rows_of(user).revoke("stolen")
    assert_closed(sockets, within=AT_ONCE)
    until = time.monotonic() + SECONDS
    while not told and time.monotonic() < until:
        time.sleep(0.01)
    assert len(told) == 1


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("kind", ["async-group", "sync-group"])
def test_a_consumer_keeps_its_own_groups(server, open_as, user, kind):
    _, (one,) = open_as(user, kind)
    with closing(Socket(server, f"{kind}/")) as two:
        assert two.ask() == one.hear() == "told"
        one.connection.send("hear")
        assert (one.hear(), two.hear()) == ("told", "told")
        rows_of(user).revoke("stolen")
        assert_closed([one], within=AT_ONCE)
        two.connection.send("hear")
        assert two.hear() == "told"


@pytest.mark.usefixtures("at_once")
def test_a_revoke_that_is_rolled_back_closes_nothing(open_as, user):
    _, (socket,) = open_as(user, "async-json")
    other = UserFactory()
    _, others = open_as(other, "async-json")
    with transaction.atomic():
        rows_of(user).revoke("stolen")
        transaction.set_rollback(True)
    rows_of(other).revoke("stolen")
    assert_closed(others, within=AT_ONCE)  # whose message came after any that the rollback had sent
    assert socket.ask("ping") == "pong"


@pytest.mark.parametrize(("way", "within"), [("at_once", AT_ONCE), ("by_recheck", 1 + AT_ONCE)])
def test_a_session_that_began_over_the_scope_closes_its_socket(request, server, user, way, within):
    request.getfixturevalue(way)
    with closing(Socket(server, "closing-account/")) as socket:
        assert socket.ask("login", username=user.get_username())["user"] == user.get_username()
        rows_of(user).revoke("stolen")
        assert_closed([socket], within)


# By the re-check


@pytest.mark.usefixtures("by_recheck")
@kinds
def test_a_recheck_closes_the_sockets_of_an_ended_session_and_no_others(open_as, user, kind):
    browser, sockets = open_as(user, kind, kind)
    _, others = open_as(user, kind)
    rows_of(user).filter(pk=browser.session.pk).revoke("stolen")
    assert_closed(sockets, within=1 + AT_ONCE)
    assert others[0].ask("ping") == "pong"


@pytest.mark.usefixtures("by_recheck")
def test_a_recheck_sees_what_no_message_tells(open_as, settings):
    """Time, a deleted row or user, a password or a user changed behind the app's back."""
    users = {name: UserFactory() for name in ("expired", "deleted", "gone", "password", "disabled", "idle")}
    sockets = [socket for user in users.values() for socket in open_as(user, "async-json", "sync-json")[1]]
    lasting = open_as(UserFactory(), "async-json", "sync-json")[1]
    model, now = type(users["gone"]), timezone.now()
    rows_of(users["expired"]).update(expires_at=now + timedelta(seconds=0.5))
    rows_of(users["deleted"]).delete()
    users["gone"].delete()
    model.objects.filter(pk=users["password"].pk).update(password="other")
    model.objects.filter(pk=users["disabled"].pk).update(is_active=False)
    settings.SESSIONS_EXT = {"SOCKET_RECHECK": 1, "IDLE_TIMEOUT": 3600}
    rows_of(users["idle"]).update(last_activity_at=now - timedelta(seconds=3601))
    assert_closed(sockets, within=1.5 + AT_ONCE)
    assert [socket.ask("ping") for socket in lasting] == ["pong", "pong"]


@pytest.mark.usefixtures("by_recheck")
def test_a_recheck_that_the_database_fails_is_not_the_last_one(open_as, user, caplog):
    _, sockets = open_as(user, "async-json", "sync-json")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sessions_ext_usersession RENAME TO sessions_ext_away")
        try:
            until = time.monotonic() + SECONDS
            while "could not verify" not in caplog.text and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            cursor.execute("ALTER TABLE sessions_ext_away RENAME TO sessions_ext_usersession")
    assert [socket.ask("ping") for socket in sockets] == ["pong", "pong"]
    rows_of(user).revoke("stolen")
    assert_closed(sockets, within=1 + AT_ONCE)


@pytest.mark.usefixtures("by_recheck")
@pytest.mark.parametrize("engine", [DJANGOS[0], VERIFIED[0]], indirect=True, ids=str)
def test_a_consumer_in_channels_own_stack_is_closed_as_well(user, engine):
    from tests.company import session_sockets

    browser = Browser(is_async=False)
    browser.log_in(user)
    kinds = URLRouter([path(f"{kind}/", session_sockets.KINDS[kind].as_asgi()) for kind in KINDS])
    with (
        serving(AuthMiddlewareStack(kinds)) as server,
        closing(Socket(server, "async-json/", browser.cookie)) as socket,
    ):
        assert socket.ask("ping") == "pong"
        rows_of(user).revoke("stolen")
        assert_closed([socket], within=1 + AT_ONCE)


@pytest.mark.usefixtures("by_recheck")
def test_a_guest_is_not_closed(server, open_as, user):
    with closing(Socket(server, "async-json/")) as guest:
        _, sockets = open_as(user, "async-json")
        rows_of(user).revoke("stolen")
        assert_closed(sockets, within=1 + AT_ONCE)  # a re-check has passed
        assert guest.ask("ping") == "pong"


# Where the layer fails


def test_a_layer_that_cannot_send_fails_no_revoke_and_the_recheck_closes(
    settings, shared_redis, server, open_as, user
):
    settings.CHANNEL_LAYERS = layer(shared_redis.url, "tests.company.test_sockets.Deaf")
    settings.SESSIONS_EXT = {"SOCKET_RECHECK": 1}
    assert isinstance(get_channel_layer(), Deaf)
    _, sockets = open_as(user, *KINDS)
    assert rows_of(user).revoke("stolen") == 1
    assert_closed(sockets, within=1 + AT_ONCE)


def test_a_layer_that_has_stopped_fails_no_revoke_and_serves_nobody(
    settings, tmp_path, server, open_as, user
):
    redis = Redis(tmp_path)
    redis.start()
    try:
        settings.CHANNEL_LAYERS = layer(redis.url)
        settings.SESSIONS_EXT = {"SOCKET_RECHECK": 1}
        _, sockets = open_as(user, *KINDS)
    finally:
        redis.stop()
    assert rows_of(user).revoke("stolen") == 1
    for socket in sockets:
        # Channels itself may close a socket whose layer is lost, by a code of its own.
        assert socket.code_of_close() in (CLOSED, 1006, 1011, 1012)
