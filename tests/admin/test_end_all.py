"""Ending everybody's sessions."""

import pytest
from django.contrib.admin.models import LogEntry

from sessions_ext.admin import actions as admin_actions
from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests.admin.pages import END_ALL, LIST, logged, revoked, staff

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
