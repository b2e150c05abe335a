"""A streaming replica that lags three seconds behind, from which a site reads all that it may."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.scaling.conftest import running_site
from tests.scaling.people import App, Crowd, Visitor
from tests.scaling.servers import Replica
from tests.scaling.site import LIMIT

pytestmark = pytest.mark.slow

REVOKED = "SELECT is_revoked FROM sessions_ext_usersession WHERE id = %s"
LAGS = "SELECT now() - pg_last_xact_replay_timestamp() >= '3s'"


@pytest.fixture(scope="module")
def replica(postgresql):
    with closing(Replica(postgresql, seconds=3)) as replica:
        yield replica


@pytest.fixture(scope="module")
def address(postgresql, replica, tmp_path_factory):
    with running_site(tmp_path_factory.mktemp("site"), postgresql.url, REPLICA_URL=replica.url) as address:
        yield address


@pytest.fixture
def crowd(address, names):
    return Crowd(address, names(8))


def test_nobody_is_revived_and_nobody_lost(postgresql, replica, crowd):
    first = Visitor(crowd, crowd.names[0])
    with crowd.at_work():
        # From then on the replica has sessions as active that have ended since.
        replica.wait_until(lambda: replica.execute(REVOKED, first.id))
        assert replica.execute(LAGS) == [(True,)]
        first.sign_out()
        first.expect("nobody")
        crowd.come_round()
        replica.wait_until(lambda: replica.execute(REVOKED, first.id) == [(True,)])
        crowd.come_round()
    crowd.settle(postgresql)
    print(f"replica: {crowd.told()}")
    assert crowd.failures == []


def test_of_many_sign_ins_at_once_as_many_stay_as_the_limit_allows(crowd, names):
    (name,) = names(1, "limited")
    with ThreadPoolExecutor(16) as threads:
        visitors = list(threads.map(lambda _: Visitor(crowd, name), range(16)))
    assert sum(visitor.who() == name for visitor in visitors) == LIMIT


def test_the_page_and_the_api_show_what_is_true_now(replica, crowd):
    def on_page():
        return set(re.findall(r"/devices/([\w-]+)/sign-out/", here.visit("/devices/")))

    def in_api():
        return {session["id"] for session in app.call("GET", "/sessions")["items"]}

    with replica.held():
        here, app, phone = (kind(crowd, crowd.names[0]) for kind in (Visitor, App, App))
        assert on_page() == in_api() == {here.id, app.id, phone.id}
        here.sign_out_other(phone)
        assert on_page() == in_api() == {here.id, app.id}
        assert app.call("GET", f"/sessions/{phone.id}")["state"] == "revoked"
        assert app.call("PATCH", f"/sessions/{here.id}", {"is_trusted": True})["is_trusted"]
        assert app.call("GET", f"/sessions/{here.id}")["is_trusted"]
        assert [replica.execute(REVOKED, each.id) for each in (here, app, phone)] == [[]] * 3


def test_staff_act_on_what_is_true_now(postgresql, replica, crowd):
    name = crowd.names[0]
    [(user_id,)] = postgresql.execute("SELECT id FROM auth_user WHERE username = %s", name)
    path = f"/users/{user_id}/sessions"
    with replica.held():
        staff, app, phone = App(crowd, "staff"), App(crowd, name), App(crowd, name)
        assert {session["id"] for session in staff.call("GET", path)["items"]} == {app.id, phone.id}
        staff.call("DELETE", f"{path}/{app.id}")
        assert [app.who(), phone.who()] == ["nobody", name]
        assert staff.call("DELETE", path) == {"revoked": 1}
        assert phone.who() == "nobody"
        assert replica.execute(REVOKED, phone.id) == []
