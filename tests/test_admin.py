"""What an administrator sees and may do."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from sessions_ext.models import UserSession
from sessions_ext.signals import session_revoked
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in

pytestmark = pytest.mark.django_db

LIST = "/admin/sessions_ext/usersession/"
SCRIPT = "<script>alert('agent')</script>"


@pytest.fixture
def admin():
    """A client that a superuser is logged in with."""
    client = Client()
    log_in(client, UserFactory(username="root", is_staff=True, is_superuser=True))
    return client


def staff(*permissions):
    client, user = Client(), UserFactory(is_staff=True)
    codenames = [f"{permission}_usersession" for permission in permissions]
    found = Permission.objects.filter(content_type__app_label="sessions_ext", codename__in=codenames)
    assert len(found) == len(codenames)
    user.user_permissions.set(found)
    log_in(client, user)
    return client


def page_of(session):
    return reverse("admin:sessions_ext_usersession_change", args=[session.pk])


def listed(client, **params):
    return set(client.get(LIST, params).context["cl"].result_list)


def revoke(client, *sessions, query="", **data):
    data |= {"action": "revoke_selected", "_selected_action": [str(session.pk) for session in sessions]}
    return client.post(LIST + query, data, follow=True)


def says(response):
    return [str(message) for message in response.context["messages"]]


def revoked():
    return set(UserSession.objects.revoked())


def test_the_list_shows_who_where_and_in_what_state(admin):
    UserSessionFactory(user__username="wystan", device_info="Lynx on BeOS", location="Porto, PT")
    UserSessionFactory(revoked=True, revoked_reason="limit", ip_address="198.51.100.7")
    UserSessionFactory(revoked=True, revoked_reason="The laptop was stolen")
    UserSessionFactory(expired=True)
    page = admin.get(LIST).content.decode()
    for text in ("wystan", "Lynx on BeOS", "Porto, PT", "198.51.100.7", "Active", "Expired"):
        assert f">{text}<" in page
    assert "Revoked: Too many devices" in page
    assert "Revoked: The laptop was stolen" in page


def test_the_list_is_filtered_by_state(admin):
    own = UserSession.objects.get()
    active, ended, expired = (UserSessionFactory(**trait) for trait in ({}, {"revoked": 1}, {"expired": 1}))
    assert listed(admin) == {own, active, ended, expired}
    assert listed(admin, state="active") == {own, active}
    assert listed(admin, state="revoked") == {ended}
    assert listed(admin, state="expired") == {expired}
    assert listed(admin, state="delete") == {own, active, ended, expired}


def test_the_list_is_filtered_by_reason(admin):
    limit, free = (UserSessionFactory(revoked=True, revoked_reason=reason) for reason in ("limit", "theft"))
    assert listed(admin, reason="limit") == {limit}
    assert listed(admin, reason="theft") == {free}
    assert listed(admin, reason="limit", state="active") == set()
    assert listed(admin, reason="th\0eft") == {free}


def test_the_list_is_newest_first(admin):
    sessions = UserSessionFactory.create_batch(3)
    assert list(admin.get(LIST).context["cl"].result_list)[:3] == sessions[::-1]


@pytest.mark.parametrize(
    ("column", "value", "query"),
    [
        ("user__username", "wystan", "wystan"),
        ("user__email", "wystan@example.org", "WYSTAN@example"),
        ("ip_address", "198.51.100.7", "198.51.100"),
        ("ip_address", "2001:db8::7", "2001:db8::7"),
        ("last_ip_address", "198.51.100.8", "198.51.100.8"),
    ],
)
def test_the_list_is_searched(admin, column, value, query):
    wanted, _ = UserSessionFactory(**{column: value}), UserSessionFactory()
    assert listed(admin, q=query) == {wanted}


@pytest.mark.parametrize("form", [str, str.upper])
def test_the_list_is_searched_by_id(admin, form):
    wanted, _ = UserSessionFactory.create_batch(2)
    assert listed(admin, q=form(str(wanted.pk))) == {wanted}


def test_a_search_for_a_name_finds_no_id_that_holds_it(admin):
    UserSessionFactory(id="ada00000-0000-7000-8000-000000000000")
    assert listed(admin, q="ada") == set()


@pytest.mark.parametrize("query", ["nobody-at-all", "%", "'; --", "x" * 2000])
def test_a_search_for_nothing_finds_nothing(admin, query):
    response = admin.get(LIST, {"q": query})
    assert response.status_code == 200
    assert not response.context["cl"].result_list


def test_the_list_takes_as_many_queries_for_thirty_rows_as_for_one(admin):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(LIST, {"state": "active"}).status_code == 200
        return len(captured)

    UserSessionFactory()
    queries()  # the permissions and content types that Django keeps
    for_one = queries()
    UserSessionFactory.create_batch(30)
    assert len(listed(admin, state="active")) == 32
    assert queries() == for_one


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


@pytest.mark.parametrize("client_of", ["superuser", "staff"])
def test_revoking_ends_the_sessions_and_says_how_many(admin, client_of, django_capture_on_commit_callbacks):
    client = admin if client_of == "superuser" else staff("view", "revoke")
    sessions, spared = UserSessionFactory.create_batch(2), UserSessionFactory()
    sent = []
    receiver = lambda **kwargs: sent.append(kwargs)  # noqa: E731
    session_revoked.connect(receiver)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            response = revoke(client, *sessions)
    finally:
        session_revoked.disconnect(receiver)
    assert says(response) == ["2 sessions were revoked."]
    assert revoked() == set(sessions)
    assert {(row.revoked_reason, row.ended_by) for row in revoked()} == {("admin", "admin")}
    (signal,) = sent
    assert set(signal["session_ids"]) == {session.pk for session in sessions}
    assert (signal["user_ids"], signal["reason"]) == ({row.user_id for row in sessions}, "admin")
    spared.refresh_from_db()
    assert spared.is_active


def test_revoking_counts_what_it_ended_itself(admin):
    before, session = UserSessionFactory(revoked=True, revoked_reason="limit"), UserSessionFactory()
    assert says(revoke(admin, before, session)) == ["1 session was revoked."]
    assert says(revoke(admin, before, session)) == ["0 sessions were revoked."]
    before.refresh_from_db()
    assert before.revoked_reason == "limit"


def test_revoking_all_that_a_search_found_ends_no_others(admin):
    found = UserSessionFactory.create_batch(2, user=UserFactory(username="wystan"))
    UserSessionFactory(user__username="grete")
    response = revoke(admin, found[0], query="?q=wystan&state=active", select_across="1")
    assert says(response) == ["2 sessions were revoked."]
    assert revoked() == set(found)


def test_who_may_only_view_is_not_offered_the_action_and_cannot_forge_it():
    client, session = staff("view"), UserSessionFactory()
    assert "revoke_selected" not in client.get(LIST).content.decode()
    response = revoke(client, session)
    assert not any("revoked" in message for message in says(response))
    assert not revoked()


def test_who_may_revoke_is_offered_that_action_alone():
    client, _ = staff("view", "revoke"), UserSessionFactory()
    page = client.get(LIST).content.decode()
    assert 'value="revoke_selected"' in page
    assert "delete_selected" not in page


def test_a_get_revokes_nothing(admin):
    session = UserSessionFactory()
    admin.get(LIST, {"action": "revoke_selected", "_selected_action": str(session.pk)})
    assert not revoked()


def test_revoking_needs_the_csrf_token(admin):
    client, session = Client(enforce_csrf_checks=True), UserSessionFactory()
    client.cookies = admin.cookies
    assert revoke(client, session).status_code == 403
    assert not revoked()


def test_a_revoked_browser_is_anonymous_at_its_next_request(admin, client, user):
    session = log_in(client, user)
    assert client.get("/who/").content.decode() == user.get_username()
    revoke(admin, session)
    assert client.get("/who/").content.decode() == "nobody"


def test_an_administrator_can_end_the_own_session(admin):
    own = UserSession.objects.get()
    revoke(admin, own)
    assert revoked() == {own}
    assert admin.get(LIST).status_code == 302


def test_deleting_a_session_ends_it(admin, client, user):
    session = log_in(client, user)
    admin.post(reverse("admin:sessions_ext_usersession_delete", args=[session.pk]), {"post": "yes"})
    assert not UserSession.objects.filter(pk=session.pk).exists()
    assert client.get("/who/").content.decode() == "nobody"


def test_no_page_shows_a_secret(admin, client, user):
    session = log_in(client, user)
    UserSession.objects.filter(pk=session.pk).link_refresh_token(UserSessionFactory.build().pk)
    UserSession.objects.filter(pk=session.pk).link_refresh_token(UserSessionFactory.build().pk)
    session.refresh_from_db()
    secrets = [client.session.session_key, admin.session.session_key]
    secrets += map(str, (session.refresh_token_id, session.previous_refresh_token_id))
    history = reverse("admin:sessions_ext_usersession_history", args=[session.pk])
    for path in (LIST, page_of(session), history, history.replace("history", "delete")):
        response = admin.get(path)
        assert response.status_code == 200
        assert not [secret for secret in secrets if secret in response.content.decode()]


def test_what_a_client_says_of_itself_is_shown_as_text(admin):
    session = UserSessionFactory(user_agent=SCRIPT, device_info=SCRIPT, location=SCRIPT)
    UserSessionFactory(revoked=True, revoked_reason=SCRIPT)
    for path in (LIST, page_of(session)):
        page = admin.get(path).content.decode()
        assert SCRIPT not in page
        assert "&lt;script&gt;alert(" in page
