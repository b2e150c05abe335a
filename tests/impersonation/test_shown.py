"""How such a session is shown: to the user as what it is, but not whose it is; to operators with the name."""

import pytest
from django.test import Client

from sessions_ext.models import UserSession
from sessions_ext.templatetags.sessions_ext import device_kind, why_ended
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.admin.pages import LIST as ADMIN
from tests.admin.pages import listed, page_of, users_have_pages
from tests.api.calls import App, staff_path
from tests.views.pages import LIST, text

pytestmark = pytest.mark.django_db

TRACES = {"device_info": "Clerkbrowser", "user_agent": "Clerk/1", "location": "Headquarters"}
HERE = "198.51.100.66"


@pytest.fixture
def acting(staff, user):
    return UserSessionFactory(user=user, impersonator=staff, ip_address=HERE, **TRACES)


@pytest.fixture
def root():
    client = Client()
    log_in(client, UserFactory(is_staff=True, is_superuser=True))
    return client


def shows_traces(page, staff):
    return [trace for trace in (*TRACES.values(), HERE, staff.get_username()) if trace in page]


def test_the_page_says_that_staff_act_as_the_user_and_not_who(client, acting, staff, user):
    log_in(client, user)
    page = text(client.get(LIST))
    assert "Staff of this site Acting as you Somebody who works for this site has opened" in page
    assert not shows_traces(page, staff)
    assert f"/devices/{acting.pk}/trust/" not in client.get(LIST).content.decode()
    assert client.post(f"/devices/{acting.pk}/sign-out/").status_code == 302
    acting.refresh_from_db()
    assert acting.revoked_reason == "user"


@pytest.mark.parametrize("reason", ["logout", "impersonator"])
def test_what_has_ended_is_shown_as_such_too(client, acting, staff, user, reason):
    log_in(client, user)
    acting.revoke(reason)
    page = text(client.get(LIST))
    ended = page[page.index("Recently ended") :]
    assert "Staff of this site Acted as you They stopped" in ended
    assert not shows_traces(page, staff)
    assert why_ended(acting) == "They stopped"
    assert device_kind(acting) == "staff"


def test_the_api_says_so_and_hides_it_from_the_user_alone(acting, staff, user):
    app, operator = App(user), App(UserFactory(is_staff=True, is_superuser=True))
    (own,) = (each for each in app.get("/sessions").json()["items"] if each["is_impersonated"])
    assert own["id"] == str(acting.pk)
    hidden = {name: own[name] for name in (*TRACES, "ip_address", "last_ip_address")}
    assert hidden == dict.fromkeys(TRACES, "") | {"ip_address": None, "last_ip_address": None}
    (seen,) = (each for each in operator.get(staff_path(user)).json()["items"] if each["is_impersonated"])
    assert {name: seen[name] for name in TRACES} == TRACES
    assert seen["ip_address"] == HERE
    patch = app.call("PATCH", f"/sessions/{acting.pk}", {"is_trusted": True})
    assert patch.status_code == 404


@users_have_pages
def test_the_admin_names_who_acts(root, acting, staff):
    UserSessionFactory.create_batch(2)
    for path in (ADMIN, page_of(acting)):
        assert (
            f'acted as by <a href="/admin/auth/user/{staff.pk}/change/">{staff}</a>'
            in root.get(path).content.decode()
        )


def test_the_admin_filters_by_who_acts(root, acting):
    assert listed(root, impersonated="yes") == {acting}
    assert listed(root, impersonated="no") == set(UserSession.objects.exclude(pk=acting.pk))
    assert listed(root, impersonated="perhaps") == set(UserSession.objects.all())


def test_the_admin_has_no_such_filter_where_nobody_acts(root, settings):
    assert "By who acts" in text(root.get(ADMIN))
    settings.SESSIONS_EXT = {}
    assert "By who acts" not in text(root.get(ADMIN))


def test_the_admin_marks_it_among_the_users_other_sessions(root, acting, user):
    own = UserSessionFactory(user=user)
    assert "acts as the user" in root.get(page_of(own)).content.decode()
    assert "acts as the user" not in root.get(page_of(UserSessionFactory())).content.decode()


def test_the_overview_leads_to_them_where_they_can_be(root, settings):
    link = "?impersonated=yes&amp;state=active"
    assert link in root.get(f"{ADMIN}overview/").content.decode()
    settings.SESSIONS_EXT = {}
    assert link not in root.get(f"{ADMIN}overview/").content.decode()


def test_the_admin_trusts_none_of_them(root, acting):
    data = {"action": "trust_selected", "_selected_action": [str(acting.pk)], "confirmed": "yes"}
    root.post(ADMIN, data)
    acting.refresh_from_db()
    assert not acting.is_trusted
