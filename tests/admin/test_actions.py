"""The actions of the list: they ask first, do it, and are logged."""

import re
from datetime import timedelta
from html import escape, unescape

import django
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from sessions_ext.admin import actions as admin_actions
from sessions_ext.models import UserSession
from sessions_ext.signals import session_revoked
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.admin.pages import END_ALL, LIST, act, ask, listed, logged, page_of, revoke, revoked, says, staff

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


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
    assert ("The reason is kept in the admin" in page) == action.endswith("trust_selected")
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


def press_revoke(client, session):
    """Press the button on the row's page; from Django 6.1 on, run the action there."""
    if django.VERSION >= (6, 1):
        names = ("CHANGE_FORM-action", "action")
        data = dict.fromkeys(names, "revoke_selected")
        return client.post(page_of(session), data | {"_selected_action": session.pk})
    row = client.get(page_of(session)).content.decode()
    (to,) = re.findall(r'value="Revoke" formaction="([^"]*)"', row)
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', row))
    return client.post(to, hidden)


def test_a_session_is_revoked_from_its_own_page(admin):
    session = UserSessionFactory()
    page = press_revoke(admin, session)
    assert f'<a href="{page_of(session)}" class="closelink">' in page.content.decode()
    assert not revoked()
    confirm(admin, page)
    assert revoked() == {session}


@pytest.mark.parametrize(
    ("permissions", "is_revoked"), [(("view",), False), (("view", "revoke"), True)], ids=["view", "ended"]
)
def test_a_page_offers_to_revoke_only_what_one_can_revoke(permissions, is_revoked):
    session = UserSessionFactory(revoked=is_revoked)
    assert 'value="Revoke"' not in staff(*permissions).get(page_of(session)).content.decode()
