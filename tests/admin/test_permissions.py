"""Who may see, end and delete sessions in the admin."""

import pytest
from django.urls import reverse

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests.admin.pages import LIST, SCRIPT, listed, logged, page_of, revoke, revoked, says, staff

pytestmark = pytest.mark.django_db


def test_nothing_is_added(admin):
    assert admin.get(LIST + "add/").status_code == 403
    assert admin.post(LIST + "add/", {"device_info": "x"}).status_code == 403
    assert UserSession.objects.count() == 1
    assert f"{LIST}add/" not in admin.get(LIST).content.decode()


@pytest.mark.parametrize("permissions", [None, ("view", "change")])
def test_nothing_is_changed(admin, permissions):
    client = admin if permissions is None else staff(*permissions)
    session = UserSessionFactory(device_info="Lynx on BeOS")
    page = client.get(page_of(session))
    assert "Lynx on BeOS" in page.content.decode()
    assert not page.context["adminform"].form.fields
    fields = {"device_info": "changed", "user": session.user_id, "is_trusted": "on", "_save": "Save"}
    assert client.post(page_of(session), fields).status_code == 403
    session.refresh_from_db()
    assert (session.device_info, session.is_trusted) == ("Lynx on BeOS", False)


def test_who_may_only_view_sees_the_list_and_the_page():
    client, session = staff("view"), UserSessionFactory()
    assert session in listed(client)
    assert client.get(page_of(session)).status_code == 200


@pytest.mark.parametrize("permissions", [(), ("revoke",)])
def test_who_may_not_view_sees_and_ends_nothing(permissions):
    client, session = staff(*permissions), UserSessionFactory()
    assert client.get(LIST).status_code == 403
    assert client.get(page_of(session)).status_code == 403
    assert revoke(client, session).status_code == 403
    assert not revoked()


def test_who_may_only_view_is_not_offered_the_action_and_cannot_forge_it():
    client, session = staff("view"), UserSessionFactory()
    assert "revoke_selected" not in client.get(LIST).content.decode()
    response = revoke(client, session)
    assert not any("revoked" in message for message in says(response))
    assert not revoked()


def test_who_may_revoke_is_offered_these_actions_alone():
    client, _ = staff("view", "revoke"), UserSessionFactory()
    page = client.get(LIST).content.decode()
    for action in ("revoke_selected", "revoke_users", "trust_selected", "untrust_selected"):
        assert f'value="{action}"' in page
    assert "delete_selected" not in page


def test_the_overview_is_for_those_who_may_view():
    assert staff("revoke").get(f"{LIST}overview/").status_code == 403
    client, session = staff("view"), UserSessionFactory(device_info=SCRIPT)
    page = client.get(f"{LIST}overview/").content.decode()
    assert str(session.user) in page
    assert SCRIPT not in page


def test_who_may_not_delete_deletes_nothing():
    client, session = staff("view", "revoke"), UserSessionFactory()
    delete = reverse("admin:sessions_ext_usersession_delete", args=[session.pk])
    assert delete not in client.get(page_of(session)).content.decode()
    assert client.post(delete, {"post": "yes"}).status_code == 403
    client.post(LIST, {"action": "delete_selected", "_selected_action": [session.pk], "post": "yes"})
    assert UserSession.objects.filter(pk=session.pk).exists()


def test_who_may_delete_deletes_and_it_is_logged():
    client, (one, two) = staff("view", "delete"), UserSessionFactory.create_batch(2)
    delete = reverse("admin:sessions_ext_usersession_delete", args=[one.pk])
    assert delete in client.get(page_of(one)).content.decode()
    client.post(delete, {"post": "yes"})
    client.post(LIST, {"action": "delete_selected", "_selected_action": [two.pk], "post": "yes"})
    assert not UserSession.objects.filter(pk__in=[one.pk, two.pk]).exists()
    assert {pk for pk, _ in logged()} == {str(one.pk), str(two.pk)}
