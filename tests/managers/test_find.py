"""Finding, listing, counting and verifying sessions."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.managers.rows import sessions

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


# Find, list, count


def test_a_users_sessions_are_theirs_alone(user):
    own = UserSessionFactory(user=user)
    theirs = UserSessionFactory()
    assert list(sessions(user)) == list(sessions(user.pk)) == [own]
    with pytest.raises(UserSession.DoesNotExist):
        sessions(user).get(pk=theirs.pk)


def test_an_anonymous_user_has_no_sessions(user, django_assert_num_queries):
    UserSessionFactory(user=user)
    with django_assert_num_queries(0):
        assert not sessions(AnonymousUser())


def test_every_row_is_active_expired_or_revoked(user, settings, later):
    settings.SESSIONS_EXT = {"LIFETIME": 1000, "IDLE_TIMEOUT": 100}
    active = UserSessionFactory(user=user)
    revoked = UserSessionFactory(user=user, revoked=True)
    idle = UserSessionFactory(user=user, last_activity_at=timezone.now() - timedelta(seconds=100))
    past = UserSessionFactory(user=user, expires_at=timezone.now())
    both = UserSessionFactory(user=user, revoked=True, expires_at=timezone.now())
    assert set(sessions(user).active()) == {active}
    assert set(sessions(user).expired()) == {idle, past}
    assert set(sessions(user).revoked()) == {revoked, both}
    assert [row.is_active for row in (active, revoked, idle, past, both)] == [True, *[False] * 4]


@pytest.mark.parametrize(("seconds", "alive"), [(99.999999, True), (100, False)])
def test_the_end_is_exact_to_the_microsecond(user, later, settings, seconds, alive):
    session = UserSessionFactory(user=user, expires_at=timezone.now() + timedelta(seconds=100))
    later(seconds)
    assert sessions(user).active().exists() == session.is_active == alive
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 100}
    sessions(user).update(expires_at=timezone.now() + timedelta(days=1))
    session.refresh_from_db()
    assert sessions(user).active().exists() == session.is_active == alive


def test_who_signed_in_since_a_moment_did_not_before(user):
    since = timezone.now()
    at, before = since, since - timedelta(microseconds=1)
    rows = {moment: UserSessionFactory(user=user, created_at=moment) for moment in (before, at)}
    assert list(sessions(user).signed_in_since(since)) == [rows[at]]


def test_order_is_by_login_and_then_by_id(user):
    when = timezone.now()
    older = UserSessionFactory(user=user, created_at=when - timedelta(seconds=1))
    twins = sorted((UserSessionFactory(user=user, created_at=when) for _ in range(2)), key=lambda row: row.pk)
    assert list(sessions(user).oldest_first()) == [older, *twins]
    assert list(sessions(user).newest_first()) == [*reversed(twins), older]
    assert sessions(user).active().oldest_first().first() == older


def test_counting_is_one_query(user, django_assert_num_queries):
    UserSessionFactory.create_batch(3, user=user)
    UserSessionFactory(user=user, revoked=True)
    with django_assert_num_queries(1):
        assert sessions(user).active().count() == 3


def test_a_session_is_found_by_its_current_refresh_token_only(user):
    first, second = uuid.uuid4(), uuid.uuid4()
    session = UserSession.objects.start(user, refresh_token_id=first)
    UserSessionFactory(user=user)
    assert UserSession.objects.by_refresh_token(first) == session
    assert UserSession.objects.by_refresh_token(str(first)) == session
    assert sessions(user).filter(pk=session.pk)._link_refresh_token(second) == 1
    assert UserSession.objects.by_refresh_token(first) is None
    assert UserSession.objects.by_refresh_token(second) == session


@pytest.mark.parametrize("garbage", [None, "", "x", [], 7, "\x00", uuid.UUID(int=7)])
def test_an_unknown_refresh_token_finds_nothing(user, garbage):
    UserSessionFactory(user=user)
    assert UserSession.objects.by_refresh_token(garbage) is None


def test_the_ended_ones_come_with_the_latest_end_first(user, settings, later):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 600}
    now = timezone.now()
    ago = [now - timedelta(hours=hours) for hours in range(5)]
    active = UserSessionFactory(user=user)
    revoked = UserSessionFactory(user=user, created_at=ago[4], revoked=True, revoked_at=ago[1])
    expired = UserSessionFactory(user=user, created_at=ago[3], expires_at=ago[2])
    both = UserSessionFactory(
        user=user, created_at=ago[4], expires_at=ago[1], revoked=True, revoked_at=ago[3]
    )
    idle = UserSessionFactory(user=user, created_at=ago[2])
    assert list(sessions(user).ended()) == [revoked, idle, expired, both]
    assert active not in sessions(user).ended()


# Verify


def test_verify_joins_the_user(user, django_assert_num_queries):
    session = UserSessionFactory(user=user)
    with django_assert_num_queries(1):
        found = UserSession.objects.verify(user.pk, session.pk)
        assert found.user.get_username() == user.get_username()
    assert UserSession.objects.verify(str(user.pk), str(session.pk)) == session


def test_verify_refuses_what_is_not_an_active_session_of_that_user(user):
    session = UserSessionFactory(user=user)
    assert UserSession.objects.verify(UserFactory().pk, session.pk) is None
    assert UserSession.objects.verify(user.pk, uuid.uuid4()) is None
    assert UserSession.objects.verify(user.pk, UserSessionFactory(user=user, revoked=True).pk) is None
    assert UserSession.objects.verify(user.pk, UserSessionFactory(user=user, expired=True).pk) is None


@pytest.mark.parametrize("garbage", [None, "", "x", -1, 2**80, [], {}, b"x", "\x00", object()])
def test_verify_refuses_garbage(user, garbage):
    session = UserSessionFactory(user=user)
    assert UserSession.objects.verify(garbage, session.pk) is None
    assert UserSession.objects.verify(user.pk, garbage) is None
