"""Starting a session."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.costs import LEVEL, LIMIT_LOCK, LOCK, ONE_ROW

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


def test_start_takes_what_the_request_says(user, rf):
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    request = rf.get("/", REMOTE_ADDR="::ffff:192.0.2.7", headers={"User-Agent": agent})
    session = UserSession.objects.start(user, request=request)
    session.refresh_from_db()
    assert session.ip_address == session.last_ip_address == "192.0.2.7"
    assert (session.user_agent, session.device_info) == (agent, "Firefox on Linux")
    assert session.created_at == session.last_activity_at
    assert session.expires_at == session.created_at + timedelta(days=30)
    assert session.pk.version == 7


def test_what_is_given_outright_wins_over_the_request(user, rf):
    request = rf.get("/", REMOTE_ADDR="192.0.2.7", headers={"User-Agent": "curl/8.5.0"})
    session = UserSession.objects.start(user, request=request, ip_address="203.0.113.1", user_agent="wget/1")
    assert (session.ip_address, session.user_agent) == ("203.0.113.1", "wget/1")


def test_the_user_of_a_started_session_is_the_one_that_was_given(user, django_assert_num_queries):
    session = UserSession.objects.start(user)
    with django_assert_num_queries(0):
        assert session.user is user


def test_start_without_a_request_knows_nobody(user):
    session = UserSession.objects.start(user, ip_address="unknown")
    assert (session.ip_address, session.user_agent, session.device_info) == (None, "", "")


def test_an_end_may_be_earlier_than_the_lifetime_but_not_later(user, later):
    now = timezone.now()
    earlier = UserSession.objects.start(user, expires_at=now + timedelta(hours=1))
    capped = UserSession.objects.start(user, expires_at=now + timedelta(days=365))
    assert earlier.expires_at == now + timedelta(hours=1)
    assert capped.expires_at == now + timedelta(days=30)


def test_ids_follow_the_order_of_logins(user):
    ids = [UserSession.objects.start(user).pk for _ in range(50)]
    assert ids == sorted(ids)


def test_a_refresh_token_belongs_to_one_session(user):
    token = uuid.uuid4()
    UserSession.objects.start(user, refresh_token_id=token)
    with pytest.raises(IntegrityError), transaction.atomic():
        UserSession.objects.start(user, refresh_token_id=token)


def test_start_is_one_statement_without_a_limit(user, django_assert_num_queries):
    with django_assert_num_queries(3 + LOCK):  # in a savepoint
        UserSession.objects.start(user)


def test_start_is_three_statements_within_the_limit(user, settings, django_assert_num_queries):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    begun = 2 + LEVEL + LIMIT_LOCK  # in a savepoint
    with django_assert_num_queries(begun + 2):  # insert, look for surplus
        UserSession.objects.start(user)
    with django_assert_num_queries(begun + 2 + ONE_ROW):  # and revoke it
        UserSession.objects.start(user)


def test_a_session_of_an_unsaved_user_is_refused(db):
    with pytest.raises(ValueError, match="Save the user"):
        UserSession.objects.start(UserFactory._meta.model(pk=UserFactory().pk))
    with pytest.raises(ValueError, match="Save the user"):
        UserSession.objects.start(AnonymousUser())
