"""Why a session ended, and who ended it."""

import pytest

from sessions_ext.models import EndedBy, RevokedReason, UserSession
from sessions_ext.reasons import label, with_note
from sessions_ext.testing import UserSessionFactory

pytestmark = pytest.mark.django_db

WHO = {
    "logout": EndedBy.USER,
    "user": EndedBy.USER,
    "not_me": EndedBy.USER,
    "password_change": EndedBy.USER,
    "admin": EndedBy.ADMIN,
    "user_disabled": EndedBy.ADMIN,
    "impersonator": EndedBy.ADMIN,
    "limit": EndedBy.POLICY,
    "refresh_reuse": EndedBy.SYSTEM,
    "suspicious": EndedBy.SYSTEM,
}


def revoked_for(reason):
    session = UserSessionFactory()
    UserSession.objects.filter(pk=session.pk).revoke(reason)
    session.refresh_from_db()
    return session


@pytest.mark.parametrize("reason", RevokedReason)
def test_every_reason_says_who_ended_the_session(reason):
    session = revoked_for(reason)
    assert session.revoked_reason == reason.value
    assert session.ended_by is WHO[reason.value]


def test_every_reason_reads_differently():
    assert len({str(reason.label) for reason in RevokedReason}) == len(WHO)


@pytest.mark.parametrize("reason", ["The laptop was stolen", "gestohlen 💻", "x" * 255])
def test_free_text_is_kept_and_is_the_projects_own(reason):
    session = revoked_for(reason)
    assert session.revoked_reason == reason
    assert session.ended_by is EndedBy.SYSTEM


@pytest.mark.parametrize("trait", [{}, {"expired": True}])
def test_nobody_ended_a_session_that_was_not_revoked(trait):
    assert UserSessionFactory(**trait).ended_by is None


def test_a_note_changes_neither_who_ended_the_session_nor_how_the_reason_reads():
    session = revoked_for(with_note(RevokedReason.LIMIT, "sixth phone"))
    assert session.revoked_reason == "limit: sixth phone"
    assert session.ended_by is EndedBy.POLICY
    assert label(session.revoked_reason) == f"{RevokedReason.LIMIT.label}: sixth phone"
    assert label("limited: sixth phone") == "limited: sixth phone"


def test_a_note_is_cut_to_what_the_column_holds():
    assert len(with_note(RevokedReason.ADMIN, "x" * 300)) == 255
    assert with_note(RevokedReason.ADMIN, "") == "admin"
