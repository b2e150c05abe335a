"""What an administrator sees and may do."""

import os
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from importlib import import_module
from types import ModuleType
from urllib.parse import unquote
from uuid import UUID

import django
import pytest
from django.contrib import admin as django_admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import re_path, reverse
from django.utils import timezone

from sessions_ext.admin import actions as admin_actions
from sessions_ext.admin import changelist as admin_list
from sessions_ext.admin import UserSessionAdmin, UserSessionInline
from sessions_ext.models import UserSession
from sessions_ext.signals import session_revoked
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.benchmarks import admin as admin_bench

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


def ask(client, action, *sessions, query="", **data):
    """Run an action of the list, as far as the page that asks for confirmation."""
    data |= {"action": action, "_selected_action": [str(session.pk) for session in sessions]}
    return client.post(LIST + query, data, follow=True)


def act(client, action, *sessions, **data):
    return ask(client, action, *sessions, confirmed="yes", **data)


def revoke(client, *sessions, **data):
    return act(client, "revoke_selected", *sessions, **data)


def logged():
    return list(LogEntry.objects.order_by("pk").values_list("object_id", "change_message"))


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
    for text in ("Revoked", "Too many devices", "The laptop was stolen"):
        assert f">{text}<" in page


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


def test_the_list_is_newest_first(admin):
    sessions = UserSessionFactory.create_batch(3)
    assert list(admin.get(LIST).context["cl"].result_list)[:3] == sessions[::-1]


@pytest.mark.parametrize(
    ("column", "value", "query"),
    [
        ("user__username", "wystan", "wystan"),
        ("user__email", "wystan@example.org", "WYSTAN@example"),
        ("ip_address", "198.51.100.7", "198.51.100.7"),
        ("ip_address", "198.51.100.7", "::ffff:198.51.100.7"),
        ("ip_address", "198.51.100.7", "198.51.100.0/24"),
        ("ip_address", "198.51.100.7", "198.51.100.7/30"),
        ("last_ip_address", "198.51.100.7", "198.51.96.0/19"),
        ("ip_address", "2001:db8:0:12::7", "2001:db8:0:10::/60"),
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


@pytest.mark.parametrize("name", ["01980000-0000-7000-8000-000000000000", "198.51.100.7", "198.51.100.0/24"])
def test_a_user_who_is_called_like_an_id_or_an_address_is_found(admin, name):
    wanted, _ = UserSessionFactory(user__username=name), UserSessionFactory()
    other = {"ip_address": "198.51.100.7"} if "." in name else {"id": UUID(name)}
    also = UserSessionFactory(**other)
    assert listed(admin, q=name) == {wanted, also}


def test_a_search_for_a_name_finds_no_id_that_holds_it(admin):
    UserSessionFactory(id="ada00000-0000-7000-8000-000000000000")
    assert listed(admin, q="ada") == set()


@pytest.mark.parametrize(
    "query",
    [
        "nobody-at-all",
        "%",
        "'; --",
        "x" * 2000,
        "203.0.113.0/24",
        "203.0.113.0/99",
        "::/129",
        "10/8",
        "198.51",
    ],
)
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
    assert [pk for pk, _ in logged()] == [str(session.pk)]
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


def test_who_may_revoke_is_offered_these_actions_alone():
    client, _ = staff("view", "revoke"), UserSessionFactory()
    page = client.get(LIST).content.decode()
    for action in ("revoke_selected", "revoke_users", "trust_selected", "untrust_selected"):
        assert f'value="{action}"' in page
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


ACTIONS = ["revoke_selected", "revoke_users", "trust_selected", "untrust_selected"]


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_asks_first_and_shows_what_it_is_about(admin, action):
    session = UserSessionFactory(user__username="wystan", is_trusted=action == "untrust_selected")
    page = ask(admin, action, session).content.decode()
    assert "1 session:" in page
    assert "wystan" in page
    assert 'name="reason"' in page
    session.refresh_from_db()
    assert session.is_active
    assert session.is_trusted == (action == "untrust_selected")
    assert not logged()


def test_a_reason_is_kept_with_the_session_and_in_the_log(admin):
    session = UserSessionFactory()
    revoke(admin, session, reason="stolen laptop")
    session.refresh_from_db()
    assert (session.revoked_reason, session.ended_by) == ("admin: stolen laptop", "admin")
    assert logged() == [(str(session.pk), "Revoked: stolen laptop")]
    page = admin.get(page_of(session)).content.decode()
    assert "By an administrator: stolen laptop" in page
    assert session in listed(admin, reason="admin")


@pytest.mark.parametrize("action", ACTIONS)
def test_it_is_said_who_may_read_the_reason(admin, action):
    session = UserSessionFactory(is_trusted=action == "untrust_selected")
    page = ask(admin, action, session).content.decode()
    assert ("may read it" in page) == action.startswith("revoke")
    assert ("It is kept in the admin" in page) == action.endswith("trust_selected")
    assert "may read it" in admin.get(END_ALL).content.decode()


def test_a_reason_that_is_too_long_is_asked_for_again(admin):
    session = UserSessionFactory()
    page = revoke(admin, session, reason="x" * 201).content.decode()
    assert "at most 200 characters" in page
    assert not revoked()


def test_all_sessions_of_the_selected_users_are_revoked(admin):
    one, two = UserFactory.create_batch(2)
    theirs = [UserSessionFactory(user=user) for user in (one, one, two)]
    UserSessionFactory()
    response = act(admin, "revoke_users", theirs[0], theirs[2], reason="")
    assert says(response) == ["3 sessions were revoked."]
    assert revoked() == set(theirs)
    assert {pk for pk, _ in logged()} == {str(session.pk) for session in theirs}


def test_devices_are_trusted_and_trusted_no_more(admin):
    session, other = UserSessionFactory(), UserSessionFactory(is_trusted=True)
    response = act(admin, "trust_selected", session, other, reason="checked by phone")
    assert says(response) == ["1 session was changed."]
    session.refresh_from_db()
    assert session.is_trusted
    assert logged() == [(str(session.pk), "Marked as trusted: checked by phone")]
    assert listed(admin, is_trusted__exact="1") == {session, other}
    act(admin, "untrust_selected", session, other)
    assert not UserSession.objects.filter(is_trusted=True).exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_where_there_is_nothing_to_do_it_says_so(admin, action):
    session = UserSessionFactory(revoked=True, is_trusted=action == "trust_selected")
    assert says(ask(admin, action, session)) == ["There is nothing to do for these sessions."]


def test_the_own_session_among_them_is_pointed_out(admin):
    own, other = UserSession.objects.get(), UserSessionFactory()
    warning = "Your own session is among them"
    assert warning in ask(admin, "revoke_selected", own, other).content.decode()
    assert warning not in ask(admin, "revoke_selected", other).content.decode()
    assert warning not in ask(admin, "trust_selected", own).content.decode()


def test_many_sessions_are_shown_in_part_and_ended_in_batches(admin, monkeypatch):
    monkeypatch.setattr(admin_actions, "BATCH", 2)
    monkeypatch.setattr(admin_actions, "SHOWN", 3)
    sessions = UserSessionFactory.create_batch(5)
    assert "… and 2 more." in ask(admin, "revoke_selected", *sessions).content.decode()
    assert says(revoke(admin, *sessions)) == ["5 sessions were revoked."]
    assert len(logged()) == 5


def test_all_sessions_of_users_are_revoked_though_batches_change_what_is_filtered(admin, monkeypatch):
    monkeypatch.setattr(admin_actions, "BATCH", 2)
    users = UserFactory.create_batch(2)
    ticked = [UserSessionFactory(user=user, device_info="Lynx") for user in users]
    others = [UserSessionFactory(user=user, device_info="Mosaic") for user in users]
    asked = {"query": "?state=active&device=Lynx", "select_across": "1"}
    assert "4 sessions:" in ask(admin, "revoke_users", *ticked, **asked).content.decode()
    assert says(act(admin, "revoke_users", *ticked, **asked)) == ["4 sessions were revoked."]
    assert revoked() == {*ticked, *others}


def confirm(client, page):
    """Answer a page that asks for confirmation, as its form says."""
    form = page.content.decode().partition('<form method="post"')[2].partition("</form>")[0]
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    data = {name: [value for key, value in hidden if key == name] for name, _ in hidden}
    (target,) = re.findall(r'^ action="([^"]*)"', form)
    return client.post(unescape(target), data, follow=True)


@pytest.mark.parametrize("is_across", [False, True])
def test_what_was_ticked_is_ended_though_it_left_the_filter_meanwhile(admin, is_across):
    session, query = UserSessionFactory(user__username="wystan"), "?q=wystan&within=60"
    page = ask(admin, "revoke_selected", session, query=query, select_across=str(int(is_across)))
    assert f'<a href="{LIST}{escape(query)}" class="closelink">' in page.content.decode()
    UserSession.objects.filter(pk=session.pk).update(last_activity_at=timezone.now() - timedelta(days=1))
    confirm(admin, page)
    assert revoked() == (set() if is_across else {session})


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.1 is the first to have it")
def test_the_rows_page_has_the_actions_too(admin):
    session = UserSessionFactory()
    data = {
        "CHANGE_FORM-action": "revoke_selected",
        "action": "revoke_selected",
        "_selected_action": session.pk,
    }
    page = admin.post(page_of(session), data)
    assert f'<a href="{page_of(session)}" class="closelink">' in page.content.decode()
    assert not revoked()
    confirm(admin, page)
    assert revoked() == {session}


END_ALL = f"{LIST}end-all/"


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
        (None, "Started to end everybody's sessions: breach"),
        (None, f"{5 if spared else 6} sessions were revoked: breach"),
    ]
    assert admin.get(LIST).status_code == (200 if spared else 302)


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


def test_the_overview_is_for_those_who_may_view():
    assert staff("revoke").get(f"{LIST}overview/").status_code == 403
    client, session = staff("view"), UserSessionFactory(device_info=SCRIPT)
    page = client.get(f"{LIST}overview/").content.decode()
    assert str(session.user) in page
    assert SCRIPT not in page


def test_only_a_superuser_deletes_and_it_is_logged(admin):
    client, (one, two) = staff("view", "delete", "revoke"), UserSessionFactory.create_batch(2)
    delete = reverse("admin:sessions_ext_usersession_delete", args=[one.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    admin.post(delete, {"post": "yes"})
    admin.post(LIST, {"action": "delete_selected", "_selected_action": [two.pk], "post": "yes"})
    assert not UserSession.objects.filter(pk__in=[one.pk, two.pk]).exists()
    assert {pk for pk, _ in logged()} == {str(one.pk), str(two.pk)}


def test_the_rows_page_tells_what_happened_in_order(admin):
    now = timezone.now()
    session = UserSessionFactory(
        created_at=now - timedelta(hours=5),
        last_activity_at=now - timedelta(hours=3),
        refreshed_at=now - timedelta(hours=4),
        last_provider_sync_at=now - timedelta(hours=2),
        last_provider_accessed="github",
        providers_accessed=["github", "slack"],
        suspicious_activity_count=3,
        is_trusted=True,
    )
    page = admin.get(page_of(session)).content.decode()
    line = page[page.index('<ol class="session-timeline">') :]
    line = line[: line.index("</ol>")]
    words = ["Signed in", "Tokens refreshed", "Last seen", "github", "Expires", "Trusted", "Flagged"]
    assert sorted(words, key=line.index) == words
    assert "5\xa0hours ago" in line
    assert "github, slack" in page
    revoke(admin, session)
    line = admin.get(page_of(session)).content.decode()
    assert "By an administrator" in line
    assert ">Expires<" not in line
    assert ">Expired<" in admin.get(page_of(UserSessionFactory(expired=True))).content.decode()


def test_where_nothing_is_known_there_is_one_dash(admin):
    unknown = {"ip_address": None, "last_ip_address": None, "location": "", "user_agent": ""}
    page = admin.get(page_of(UserSessionFactory(**unknown))).content.decode()
    shown = dict(re.findall(r'field-(\w+)">.*?"readonly">(.*?)</div>', page, re.DOTALL))
    for field in (*unknown, "providers", "trusted", "flagged"):
        assert shown[field] == "\N{EN DASH}"


def test_a_session_is_named_by_the_local_time_of_its_sign_in(admin, settings):
    session = UserSessionFactory(created_at=datetime(2026, 3, 1, 22, 30, tzinfo=UTC))
    settings.TIME_ZONE = "Asia/Tokyo"
    page = admin.get(page_of(session)).content.decode()
    assert f"{session.device_info}, 2026-03-02 07:30<" in page
    assert "2026-03-02 07:30:00 JST" in page


def test_the_rows_page_lists_the_users_other_active_sessions(admin, user):
    session, other = UserSessionFactory.create_batch(2, user=user)
    gone, foreign = UserSessionFactory(user=user, revoked=True), UserSessionFactory()
    page = admin.get(page_of(session)).content.decode()
    assert page_of(other) in page
    assert page_of(gone) not in page
    assert page_of(foreign) not in page
    assert f"{LIST}?user={user.pk}" in unquote(page)
    assert listed(admin, user=user.pk) == {session, other, gone}


def test_idle_is_a_state_of_its_own_where_there_is_an_idle_timeout(admin, settings):
    long_ago = timezone.now() - timedelta(hours=2)
    idle, expired = UserSessionFactory(last_activity_at=long_ago), UserSessionFactory(expired=True)
    assert "Idle" not in admin.get(LIST).content.decode()
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 3600}
    assert listed(admin, state="idle") == {idle}
    assert listed(admin, state="expired") == {expired}
    assert ">Idle<" in admin.get(page_of(idle)).content.decode()


def test_the_list_is_filtered_by_device_and_last_activity(admin):
    rare = UserSessionFactory(device_info="Lynx on BeOS")
    quiet = UserSessionFactory(last_activity_at=timezone.now() - timedelta(days=2))
    assert listed(admin, device="Lynx on BeOS") == {rare}
    assert listed(admin, device="Netscape") == set()
    assert rare in listed(admin, within="60")
    assert quiet not in listed(admin, within="60")
    assert quiet in listed(admin, within="10080")
    assert quiet in listed(admin, within="ever")


def made_at(*moment):
    created_at = datetime(*moment, 12, tzinfo=UTC)
    pk = UUID(int=int(created_at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)
    return UserSessionFactory(id=pk, created_at=created_at)


def dates(client, **parts):
    shown = (
        client.get(LIST, {f"created_at__{part}": value for part, value in parts.items()}).context["cl"].dates
    )
    back = shown.get("back")
    return back and back["title"], [str(choice["title"]) for choice in shown.get("choices", ())]


def test_the_dates_lead_from_years_to_a_day(admin):
    old, new, last = made_at(2019, 12, 3), made_at(2019, 12, 5), made_at(2020, 1, 2)
    assert dates(admin)[1][:2] == ["2019", "2020"]
    assert dates(admin, year=2019) == ("All dates", ["December 2019"])
    back, days = dates(admin, year=2019, month=12)
    assert (back, days[0], len(days)) == ("2019", "December 3", 29)
    assert dates(admin, year=2019, month=12, day=3) == ("December 2019", ["December 3"])
    assert listed(admin, created_at__year=2019) == {old, new}
    assert listed(admin, created_at__year=2019, created_at__month=12, created_at__day=5) == {new}
    assert listed(admin, created_at__year=2020, created_at__month=1) == {last}


def test_the_dates_begin_where_there_is_a_choice(admin):
    assert dates(admin) == (None, [f"{timezone.localtime():%B} {timezone.localtime().day}"])


def test_an_empty_list_has_no_dates(client, settings):
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if "sessions_ext" not in path]
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    UserSession.objects.all().delete()
    assert client.get(LIST).context["cl"].dates == {"show": False}


def test_a_row_that_was_brought_in_later_is_found_by_its_date(admin):
    session = UserSessionFactory(created_at=timezone.now() - timedelta(days=400))
    assert session in listed(admin, created_at__year=timezone.localtime(session.created_at).year)


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "user=%00",
        "user=x",
        "user=99999999999999999999999",
        "p=99999",
        "p=x",
        "all=",
        "o=9.x.-1",
        "state=x&reason=%ff&device=%00&within=%F0%9F%92%BB",
        "is_trusted__exact=maybe",
        "created_at__year=x",
        "created_at__year=0",
        "created_at__year=1",
        "created_at__year=2",
        "created_at__year=\N{FULLWIDTH DIGIT NINE}",
        "created_at__year=1969",
        "created_at__year=1970",
        "created_at__year=9998",
        "created_at__year=9999",
        "created_at__year=2026&created_at__month=13",
        "created_at__month=5&created_at__day=x",
        "created_at__gte=x",
        "created_at__gte=",
        "id=x",
        "nonsense=1",
        "user__password__startswith=a",
        "q=" + "1" * 5000,
    ],
)
def test_garbage_in_the_address_is_no_error(admin, query):
    assert admin.get(f"{LIST}?{query}", follow=True).status_code in (200, 400)


def test_garbage_for_ids_is_no_error(admin):
    for pk in ("x", "\0", ""):
        response = admin.post(LIST, {"action": "revoke_selected", "_selected_action": pk}, follow=True)
        assert response.status_code == 200
    assert not revoked()


# Only Django's own user has a page in the admin of the tests.
users_have_pages = pytest.mark.skipif("USER_MODEL" in os.environ, reason="these users have no page")


@pytest.fixture
def with_inline():
    model = get_user_model()
    registered = django_admin.site._registry[model]
    before = registered.inlines
    registered.inlines = (*before, UserSessionInline)
    yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    registered.inlines = before


@users_have_pages
def test_a_users_page_shows_the_newest_sessions_and_leads_to_all(admin, user, with_inline):
    *_, newest = sessions = UserSessionFactory.create_batch(12, user=user)
    foreign = UserSessionFactory()
    page = admin.get(f"{with_inline}{user.pk}/change/").content.decode()
    assert page_of(newest) in page
    assert page_of(sessions[0]) not in page
    assert page_of(foreign) not in page
    assert f"{LIST}?user={user.pk}" in unquote(page)


@users_have_pages
def test_where_a_user_is_added_there_are_no_sessions(admin, with_inline):
    page = admin.get(f"{with_inline}add/").content.decode()
    assert 'name="username"' in page
    assert "newest sessions" not in page.lower()


@users_have_pages
def test_saving_a_user_leaves_the_sessions_alone(admin, user, with_inline):
    session = UserSessionFactory(user=user)
    url = f"{with_inline}{user.pk}/change/"
    form = admin.get(url).context["adminform"].form
    fields = {name: form.initial.get(name) or "" for name in form.fields}
    fields |= {
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00",
        "is_active": "on",
        "first_name": "Wystan",
    }
    prefix = "user_sessions"
    fields |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    response = admin.post(url, {name: value for name, value in fields.items() if value != ""})
    assert response.status_code == 302
    user.refresh_from_db()
    assert user.first_name == "Wystan"
    session.refresh_from_db()
    assert session.is_active


@users_have_pages
def test_who_may_not_view_sessions_sees_none_on_a_users_page(user, with_inline):
    session, client = UserSessionFactory(user=user), staff()
    viewer = get_user_model().objects.get(pk=client.session["_auth_user_id"])
    viewer.user_permissions.add(Permission.objects.get(codename=f"view_{user._meta.model_name}"))
    page = client.get(f"{with_inline}{user.pk}/change/")
    assert page.status_code == 200
    assert page_of(session) not in page.content.decode()


@pytest.mark.parametrize("query", ["?device=Lynx", "?device=Lynx&all=", "?device=Mosaic"])
def test_what_fits_on_a_page_is_read_once_and_not_counted_before(admin, query):
    wanted = [UserSessionFactory(device_info="Lynx") for _ in range(3)][::-1] if "Lynx" in query else []
    with CaptureQueriesContext(connection) as captured:
        page = admin.get(LIST + query)
    assert list(page.context["cl"].result_list) == wanted
    assert page.context["cl"].result_count == len(wanted)
    passes = [query for query in captured if "device_info" in query["sql"].partition("WHERE")[2]]
    assert len(passes) == (2 if "all" in query else 1)


def test_a_short_list_is_shown_whole_where_that_is_asked_for(admin, monkeypatch):
    monkeypatch.setattr(UserSessionAdmin, "list_per_page", 2)
    UserSessionFactory.create_batch(4)
    assert len(admin.get(LIST).context["cl"].result_list) == 2
    assert len(admin.get(f"{LIST}?all=").context["cl"].result_list) == 5


def test_a_long_list_is_estimated_and_ends(admin, monkeypatch):
    monkeypatch.setattr(admin_list, "LISTED_AT_MOST", 4)
    monkeypatch.setattr(UserSessionAdmin, "list_per_page", 2)
    UserSessionFactory.create_batch(8)
    page = admin.get(LIST)
    is_estimate = connection.vendor == "postgresql"
    assert page.context["cl"].paginator.is_estimate == is_estimate
    assert ("The number is an estimate." in page.content.decode()) == is_estimate
    assert page.context["cl"].paginator.num_pages == 2
    assert page.context["cl"].result_count > 4
    assert len(admin.get(LIST, {"p": 2}).context["cl"].result_list) == 2
    assert admin.get(LIST, {"p": 3}).status_code == 302


@pytest.mark.once
@users_have_pages
@pytest.mark.skipif(connection.vendor != "postgresql", reason="the bound is of PostgreSQL")
@pytest.mark.django_db(transaction=True)  # or each later test's scan passes what was rolled back
def test_the_list_is_bounded_at_a_million_rows(admin, settings):
    """Fewer than 10 statements. The time is bounded by order of magnitude only, for busy machines;
    tests/benchmarks/admin.py measures it."""
    admin_bench.load(1_000_000, 1000)
    rare = ("?reason=suspicious", "?device=Lynx", "?within=5", "?q=203.0.113.7", "?q=203.0.113.0/24")
    for query in ("", "?state=active", "?p=200", "?user=1", "?q=192.0.2.0/24&p=2", *rare):
        admin.get(LIST + query)
        times = []
        for _ in range(3):
            start = time.perf_counter()
            with CaptureQueriesContext(connection) as statements:
                assert admin.get(LIST + query).status_code == 200
            times.append(time.perf_counter() - start)
        assert len(statements) < 10
        # What no index serves reads the table through, once.
        assert min(times) < (2 if query in rare else 1)


@users_have_pages
def test_a_user_is_no_link_where_the_admin_has_no_users():
    site, session = django_admin.AdminSite(name="other"), UserSessionFactory()
    assert UserSessionAdmin(UserSession, site).of_user(session) == str(session.user)
    assert "href" in UserSessionAdmin(UserSession, django_admin.site).of_user(session)


@users_have_pages
def test_a_second_admin_leads_to_its_own_pages(admin, user, settings, monkeypatch):
    ops = django_admin.AdminSite(name="ops")
    ops.register(UserSession, UserSessionAdmin)
    ops.register(get_user_model(), type("Users", (UserAdmin,), {"inlines": [UserSessionInline]}))
    urls = ModuleType("urls_of_two_admins")
    urls.urlpatterns = [re_path("^ops/", ops.urls), *import_module("tests.urls").urlpatterns]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    settings.ROOT_URLCONF = urls.__name__
    session, _ = UserSessionFactory.create_batch(2, user=user)
    theirs = LIST.replace("admin", "ops")
    for page in (theirs, f"{theirs}{session.pk}/change/", f"{theirs}overview/", f"{theirs}end-all/"):
        assert 'href="/admin/' not in admin.get(page).content.decode()
    for page in (f"/ops/auth/user/{user.pk}/change/", f"{theirs}{session.pk}/change/"):
        assert f'href="{theirs}?user={user.pk}"' in admin.get(page).content.decode()
    data = {"action": "revoke_selected", "_selected_action": session.pk}
    assert 'href="/admin/' not in admin.post(theirs, data).content.decode()


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
    assert LogEntry.objects.get().change_message == "Started to end everybody's sessions: stolen keys"


@pytest.mark.parametrize("term", ["fe80::%eth0/64", "fe80::1%eth0", "%/64", "203.0.113.0/33"])
def test_a_search_for_an_odd_address_finds_nobody(admin, term):
    UserSessionFactory()
    assert admin.get(LIST, {"q": term}).status_code == 200
