"""Ending everybody's sessions."""

from datetime import timedelta
from random import randrange
from uuid import UUID

import pytest
from django.contrib import admin as django_admin
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import path
from django.utils import timezone

from sessions_ext.admin import UserSessionAdmin
from sessions_ext.admin import actions as admin_actions
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.admin.pages import END_ALL, LIST, act, logged, page_of, revoked, says, staff
from tests.views.conftest import long_ago

pytestmark = pytest.mark.django_db


def end_all(client, **data):
    return client.post(END_ALL, {"word": "end all", "reason": "breach", **data}, follow=True)


@pytest.mark.parametrize("spared", [True, False])
def test_everybodys_sessions_are_ended_in_batches_and_logged(admin, spared, monkeypatch):
    monkeypatch.setattr(admin_actions, "BATCH", 2)
    own, others = UserSession.objects.get(), set(UserSessionFactory.create_batch(5))
    before = UserSessionFactory(revoked=True)
    assert "6 sessions are active." in admin.get(END_ALL).content.decode()
    end_all(admin, **({"spare_own": "on"} if spared else {}))
    assert revoked() - {before} == (others if spared else others | {own})
    assert {row.revoked_reason for row in revoked() - {before}} == {"admin: breach"}
    assert logged() == [
        (None, "Started ending everybody's sessions: breach"),
        (None, f"{5 if spared else 6} sessions were revoked: breach"),
    ]
    assert admin.get(LIST).status_code == (200 if spared else 302)


@pytest.fixture
def at_each_batch(monkeypatch):
    """Have something done while sessions are being revoked, so many times."""

    def do(what, times):
        monkeypatch.setattr(admin_actions, "BATCH", 2)
        revoke, left = admin_actions._revoke, [times]

        def revoke_and_do(sessions, note):
            ended = revoke(sessions, note)
            if left[0]:
                left[0] -= 1
                what()
            return ended

        acts = {name: getattr(admin_actions, name) for name in ("REVOKE", "REVOKE_USERS")}
        monkeypatch.setattr(admin_actions, "_revoke", revoke_and_do)
        for name, act_of in acts.items():
            monkeypatch.setattr(admin_actions, name, act_of._replace(run=revoke_and_do))

    return do


def late(user, **more):
    """A login by a server whose clock is late: its id sorts before those that there are."""
    return UserSessionFactory(id=UUID(int=randrange(1, 1 << 64)), user=user, **more)


def ahead(user):
    return UserSessionFactory(user=user, created_at=timezone.now() + timedelta(minutes=5))


@pytest.mark.parametrize("login", [late, ahead, lambda user: UserSessionFactory(user=user)])
def test_it_goes_on_until_nobody_is_left(admin, user, at_each_batch, login):
    """Who logs in meanwhile, by whatever clock, would be spared, and the report would say success."""
    for _ in range(3):
        ahead(user)
    at_each_batch(lambda: login(user), 4)
    end_all(admin, spare_own="on")
    assert not UserSession.objects.for_user(user).active().exists()
    assert logged()[-1] == (None, "7 sessions were revoked: breach")


@pytest.mark.parametrize("login", [late, ahead])
def test_all_of_a_users_sessions_are_ended_though_the_user_logs_in_meanwhile(
    admin, user, at_each_batch, login
):
    first, other = UserSessionFactory(user=user), UserSessionFactory()
    UserSessionFactory.create_batch(2, user=user)
    at_each_batch(lambda: login(user), 3)
    assert says(act(admin, "revoke_users", first)) == ["6 sessions were revoked."]
    assert not UserSession.objects.for_user(user).active().exists()
    other.refresh_from_db()
    assert other.is_active


def test_it_comes_to_an_end_where_people_log_in_all_the_time(admin, user, at_each_batch, monkeypatch):
    monkeypatch.setattr(admin_actions, "WALKS", 3)
    first = UserSessionFactory(user=user)
    at_each_batch(lambda: late(user), 1000)
    end_all(admin, spare_own="on")
    assert first in revoked()
    assert len(revoked()) < 10


def test_a_tenants_administrator_ends_that_tenants_sessions(admin, monkeypatch):
    """As a project's `get_queryset` narrows the admin."""
    theirs = UserSessionFactory(user__last_name="tenant", device_info="Lynx")
    others = UserSessionFactory(user__last_name="another", device_info="Mosaic")

    def of_tenant(self, request):
        return super(UserSessionAdmin, self).get_queryset(request).filter(user__last_name="tenant")

    glance = f"{LIST}overview/"
    assert admin.get(glance).context["overview"].active == 3  # and it is in the cache
    monkeypatch.setattr(UserSessionAdmin, "get_queryset", of_tenant)
    overview = admin.get(glance).context["overview"]
    assert (overview.active, sum(overview.sign_ins.numbers)) == (1, 1)
    assert [bar.label for bar in overview.devices] == ["Lynx"]
    assert [bar.label for bar in overview.users] == [str(theirs.user)]
    assert "Mosaic" not in admin.get(LIST).content.decode()
    assert "1 session is active." in admin.get(END_ALL).content.decode()
    end_all(admin)
    assert revoked() == {theirs}
    others.refresh_from_db()
    assert others.is_active


def test_a_rows_page_shows_no_session_that_is_not_to_be_seen(admin, user, monkeypatch):
    def in_berlin(self, request):
        return super(UserSessionAdmin, self).get_queryset(request).filter(location="Berlin, DE")

    monkeypatch.setattr(UserSessionAdmin, "get_queryset", in_berlin)
    here = UserSessionFactory(user=user, location="Berlin, DE")
    beside = UserSessionFactory(user=user, location="Berlin, DE", last_ip_address="192.0.2.77")
    hidden = UserSessionFactory(user=user, location="Paris, FR", last_ip_address="198.51.100.77")
    page = admin.get(page_of(here)).content.decode()
    assert beside.last_ip_address in page
    assert hidden.last_ip_address not in page
    act(admin, "revoke_users", here)
    assert revoked() == {here, beside}


def test_where_nothing_is_to_be_seen_the_overview_is_empty(admin, monkeypatch):
    monkeypatch.setattr(UserSessionAdmin, "get_queryset", lambda self, request: UserSession.objects.none())
    assert admin.get(f"{LIST}overview/").context["overview"].active == 0


def test_without_the_word_nobodys_session_ends(admin):
    UserSessionFactory()
    for word in ("", "yes"):
        assert end_all(admin, word=word).status_code == 200
    assert not revoked()


@pytest.mark.parametrize("permissions", [(), ("view",), ("revoke",)])
def test_who_may_not_view_and_revoke_cannot_end_everybodys(permissions):
    client = staff(*permissions)
    assert client.get(END_ALL).status_code == end_all(client).status_code == 403
    assert not revoked()
    if "view" in permissions:
        assert END_ALL not in client.get(LIST).content.decode()


def test_ending_everybodys_sessions_is_logged_though_it_breaks_off(admin, monkeypatch):
    UserSessionFactory.create_batch(3)
    monkeypatch.setattr(admin_actions, "BATCH", 1)
    revoke, calls = admin_actions._revoke, []

    def fail_at_the_third(sessions, note):
        calls.append(sessions)
        if len(calls) == 3:
            raise InterruptedError
        return revoke(sessions, note)

    monkeypatch.setattr(admin_actions, "_revoke", fail_at_the_third)
    with pytest.raises(InterruptedError):
        admin.post(f"{LIST}end-all/", {"word": "end all", "spare_own": "on", "reason": "stolen keys"})
    assert UserSession.objects.revoked().count() == 2
    assert LogEntry.objects.get().change_message == "Started ending everybody's sessions: stolen keys"


# A fresh login


@pytest.fixture
def stale():
    """Staff who signed in a while ago."""
    client = Client()
    user = UserFactory(is_staff=True, is_superuser=True)
    long_ago(log_in(client, user))
    return client


def test_staff_who_signed_in_a_while_ago_confirm_and_go_on(stale):
    other = UserSessionFactory()
    url = stale.get(END_ALL).url
    assert url.startswith("/devices/confirm/?next=")
    assert stale.post(END_ALL, {"word": "end all"}).url.startswith("/devices/confirm/?next=")
    assert not revoked()
    stale.post(url, {"password": "wrong"})
    assert stale.get(END_ALL).status_code == 302
    assert stale.post(url, {"password": "password"}).url == END_ALL
    assert "2 sessions are active." in stale.get(END_ALL).content.decode()
    end_all(stale, spare_own="on")
    assert revoked() == {other}


def test_staff_who_signed_in_at_the_admins_own_page_are_fresh(client):
    user = UserFactory(is_staff=True, is_superuser=True)
    client.post(f"/admin/login/?next={END_ALL}", {"username": user.get_username(), "password": "password"})
    assert client.get(END_ALL).status_code == 200


@pytest.mark.parametrize("password", ["password", None])
def test_staff_who_act_as_somebody_else_end_nothing(client, password):
    user = UserFactory(is_staff=True, is_superuser=True, password=password)
    log_in(client, user, impersonator=UserFactory())
    assert client.get(END_ALL).status_code == end_all(client).status_code == 403
    assert not revoked()


def test_staff_without_a_password_are_not_locked_out(settings):
    client, user = Client(), UserFactory(is_staff=True, is_superuser=True, password=None)
    long_ago(log_in(client, user))
    assert client.get(END_ALL).status_code == 200
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "/sso/"}
    assert client.get(END_ALL).url.startswith("/devices/confirm/")


urlpatterns = [path("admin/", django_admin.site.urls)]


@pytest.mark.urls(__name__)
def test_without_the_page_that_asks_staff_go_on(stale):
    assert stale.get(END_ALL).status_code == 200
