"""Touch, trust and refresh tokens."""

import uuid

import pytest
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests.costs import ROWS
from tests.managers.rows import sessions

pytestmark = pytest.mark.django_db


# Trust


def test_only_what_is_active_can_be_trusted(user, django_assert_num_queries):
    active, stranger = UserSessionFactory(user=user), UserSessionFactory()
    UserSessionFactory(user=user, revoked=True)
    UserSessionFactory(user=user, expired=True)
    with django_assert_num_queries(ROWS):
        assert sessions(user).trust() == 1
    assert list(UserSession.objects.filter(is_trusted=True)) == [active]
    assert sessions(stranger.user).trust() == 1
    assert sessions(user).untrust() == 1
    assert list(UserSession.objects.filter(is_trusted=True)) == [stranger]


# Touch and refresh token


def test_touch_counts_the_rows_that_were_due(user, later, settings):
    settings.SESSIONS_EXT = {"TOUCH_INTERVAL": 60}
    UserSessionFactory.create_batch(2, user=user)
    assert sessions(user).touch() == 0
    later(60)
    UserSessionFactory(user=user)
    assert sessions(user).touch("203.0.113.5") == 2
    assert sessions(user).touch("203.0.113.6") == 0
    touched = sessions(user).filter(last_activity_at=timezone.now(), last_ip_address="203.0.113.5")
    assert touched.count() == 2
    assert set(sessions(user).values_list("ip_address", flat=True)) == {"192.0.2.1"}


def test_touch_leaves_ended_sessions_alone(user, later):
    UserSessionFactory(user=user, revoked=True)
    UserSessionFactory(user=user, expired=True)
    later(3600)
    assert sessions(user).touch() == 0


def test_touch_with_an_odd_address_keeps_the_last_one(user, later):
    UserSessionFactory(user=user)
    later(60)
    assert sessions(user).touch("unknown") == 1
    assert sessions(user).get().last_ip_address == "192.0.2.1"


def test_a_refresh_token_keeps_the_one_before_it(user, later):
    first, second = uuid.uuid4(), uuid.uuid4()
    UserSession.objects.start(user, refresh_token_id=first)
    assert sessions(user)._link_refresh_token(second) == 1
    session = sessions(user).get()
    assert session.refresh_token_id == second
    assert session.previous_refresh_token_id == first
    assert session.refreshed_at == timezone.now()


def test_an_ended_session_gets_no_refresh_token(user):
    UserSessionFactory(user=user, revoked=True)
    UserSessionFactory(user=user, expired=True)
    assert sessions(user)._link_refresh_token(uuid.uuid4()) == 0
    assert not sessions(user).filter(refresh_token_id__isnull=False).exists()
