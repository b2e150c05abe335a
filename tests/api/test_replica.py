"""Whoever changes something sees it changed, though a replica that is read from lags behind."""

import pytest

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.api.calls import App, ids, permit, problem, staff_path

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _replica(settings):
    settings.DATABASE_ROUTERS = ["tests.replica.SessionsAreReadFromAReplica"]


def reasons(user):
    rows = UserSession.objects.primary.for_user(user).oldest_first()
    return list(rows.values_list("revoked_reason", flat=True))


def test_a_person_sees_and_changes_the_own_sessions(user):
    phone, tablet = App(user), App(user)
    assert not UserSession.objects.exists()  # as the replica has it
    assert ids(phone.get("/sessions")) == [tablet.id, phone.id]
    assert phone.get(f"/sessions/{tablet.id}").json()["id"] == tablet.id
    assert phone.call("PATCH", f"/sessions/{tablet.id}", {"is_trusted": True}).status_code == 200
    assert phone.get(f"/sessions/{tablet.id}").json()["is_trusted"] is True
    assert phone.delete(f"/sessions/{tablet.id}").status_code == 204
    assert ids(phone.get("/sessions")) == [phone.id]
    assert phone.get(f"/sessions/{tablet.id}").json()["state"] == "revoked"
    App(user)
    assert phone.delete("/sessions").json() == {"revoked": 1}
    assert reasons(user) == ["", "user", "user"]


def test_an_administrator_acts_on_what_there_is(target):
    staff, phone, tablet = App(permit(UserFactory(), "view", "revoke")), App(target), App(target)
    assert ids(staff.get(staff_path(target))) == [tablet.id, phone.id]
    assert staff.delete(f"{staff_path(target)}/{phone.id}").status_code == 204
    assert staff.delete(staff_path(target)).json() == {"revoked": 1}
    assert problem(tablet.get("/sessions")) == "401 not_authenticated"


def test_the_page_shows_and_changes_what_there_is(client, user):
    client.force_login(user)
    App(user, headers={"User-Agent": "curl/8.5.0"})
    here, there = UserSession.objects.primary.for_user(user).oldest_first()
    assert "curl" in client.get("/devices/").content.decode()
    client.post(f"/devices/{there.pk}/trust/")
    client.post(f"/devices/{there.pk}/sign-out/")
    there.refresh_from_db(using="default")
    assert (there.is_trusted, there.revoked_reason) == (True, "user")
    assert client.get("/row/").content.decode() == str(here.pk)
