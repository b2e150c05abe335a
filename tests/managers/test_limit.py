"""The limit, and who goes at it."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.signals import session_limit_reached
from sessions_ext.testing import UserSessionFactory
from tests.interleaved import once_read
from tests.managers.rows import sessions, started

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


def test_the_oldest_go_first(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2}
    rows = [started(user, hours=hours) for hours in (3, 2, 1)]
    newest = UserSession.objects.start(user)
    assert set(sessions(user).active()) == {rows[2], newest}
    assert {row.revoked_reason for row in sessions(user).revoked()} == {RevokedReason.LIMIT}


def test_the_idlest_go_first(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2, "ON_LIMIT": "revoke_idlest"}
    busy, idle = started(user, hours=3), started(user, hours=2)
    sessions(user).filter(pk=busy.pk).update(last_activity_at=timezone.now())
    newest = UserSession.objects.start(user)
    assert set(sessions(user).active()) == {busy, newest}
    assert set(sessions(user).revoked()) == {idle}


def test_a_session_that_ends_before_the_limit_ends_it_is_not_the_limits(
    user, settings, receiver_of, django_capture_on_commit_callbacks
):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    oldest, reached = UserSession.objects.start(user), receiver_of(session_limit_reached)
    end_it = sessions(user).filter(pk=oldest.pk).revoke
    with once_read(UserSession, lambda: end_it("user")), django_capture_on_commit_callbacks(execute=True):
        newest = UserSession.objects.start(user)
    oldest.refresh_from_db()
    assert oldest.revoked_reason == "user"
    assert set(sessions(user).active()) == {newest}
    assert not reached


def test_a_login_may_be_denied(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 2, "ON_LIMIT": "deny"}
    rows = [UserSession.objects.start(user) for _ in range(2)]
    with pytest.raises(SessionLimitReached):
        UserSession.objects.start(user)
    assert set(sessions(user)) == set(rows)
    sessions(user).filter(pk=rows[0].pk).revoke("user")
    UserSession.objects.start(user)


def test_a_new_session_is_never_its_own_victim(user, settings):
    """Not even when the clock of another server runs ahead."""
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    started(user, hours=-1)
    newest = UserSession.objects.start(user)
    assert set(sessions(user).active()) == {newest}


def test_ended_sessions_do_not_count(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    UserSessionFactory(user=user, revoked=True)
    UserSessionFactory(user=user, expired=True)
    UserSessionFactory()
    assert UserSession.objects.start(user).is_active


def test_a_limit_of_none_lets_everybody_in(user, settings, django_assert_num_queries):
    UserSessionFactory.create_batch(3, user=user)
    with django_assert_num_queries(0):
        assert UserSession.objects.enforce_limit(user) == []


@pytest.mark.parametrize("policy", ["revoke_oldest", "revoke_idlest", "deny"])
def test_a_limit_of_zero_lets_nobody_in(user, settings, policy):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 0, "ON_LIMIT": policy}
    with pytest.raises(SessionLimitReached):
        UserSession.objects.start(user)
    assert not sessions(user).exists()


def limit_by_tier(user):
    return {"free": 1, "team": 3, "wrong": "3", "below": -1}.get(user.first_name)


def test_a_limit_below_zero_is_zero(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": "tests.managers.test_limit.limit_by_tier"}
    session = UserSessionFactory(user=user)
    user.first_name = "below"
    with pytest.raises(SessionLimitReached):
        UserSession.objects.start(user)
    assert UserSession.objects.enforce_limit(user) == [session.pk]


def test_the_limit_may_be_the_projects_own(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": "tests.managers.test_limit.limit_by_tier"}
    for tier, active in (("", 4), ("team", 3), ("free", 1)):
        user.first_name = tier
        for _ in range(4):
            UserSession.objects.start(user)
        assert sessions(user).active().count() == active
        sessions(user).delete()


def test_a_limit_of_a_wrong_type_is_named(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": "tests.managers.test_limit.limit_by_tier"}
    user.first_name = "wrong"
    with pytest.raises(ImproperlyConfigured, match="MAX_SESSIONS returned str, not an int or None"):
        UserSession.objects.start(user)


def test_a_lowered_limit_can_be_enforced_at_once(
    user, settings, receiver_of, django_capture_on_commit_callbacks
):
    received = receiver_of(session_limit_reached)
    rows = [started(user, hours=hours) for hours in (3, 2, 1)]
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    with django_capture_on_commit_callbacks(execute=True):
        assert set(UserSession.objects.enforce_limit(user)) == {rows[0].pk, rows[1].pk}
        assert UserSession.objects.enforce_limit(user) == []
    assert [(sent["limit"], sent["policy"], set(sent["session_ids"])) for sent in received] == [
        (1, "revoke_oldest", {rows[0].pk, rows[1].pk})
    ]


def test_enforcing_where_logins_are_denied_says_so(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    UserSessionFactory.create_batch(2, user=user)
    with pytest.raises(SessionLimitReached):
        UserSession.objects.enforce_limit(user)
    assert sessions(user).active().count() == 2
