"""Other databases and clocks."""

import pytest
from django.db import connections
from django.utils import timezone

from sessions_ext.cleanup import CleanupResult
from sessions_ext.models import UserSession
from sessions_ext.signals import session_revoked
from sessions_ext.testing import UserFactory
from tests.managers.rows import sessions

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


class EverythingInOther:
    def db_for_read(self, model, **hints):
        return "default"

    def db_for_write(self, model, **hints):
        return "other"


@pytest.mark.django_db(databases=["default", "other"])
def test_a_router_says_where_sessions_are_written_and_verified(settings):
    """Never on the database that is read from: it may lag behind a revoke."""
    settings.DATABASE_ROUTERS = ["tests.managers.test_databases.EverythingInOther"]
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    user = UserFactory()
    first = UserSession.objects.start(user)
    second = UserSession.objects.start(user)
    assert not UserSession.objects.using("default").exists()
    assert set(UserSession.objects.using("other")) == {first, second}
    assert UserSession.objects.verify(user.pk, second.pk) == second
    assert UserSession.objects.verify(user.pk, first.pk) is None
    second.record_provider_access("mail")
    assert sessions(user).using("other").get(pk=second.pk).providers_accessed == ["mail"]
    assert sessions(user).revoke("x") == 1
    assert UserSession.objects.verify(user.pk, second.pk) is None
    assert UserSession.objects.cleanup().revoked == 0
    user.delete()
    assert not UserSession.objects.using("other").exists()


@pytest.mark.django_db(databases=["default", "other"])
def test_a_revoke_is_told_of_once_the_database_that_is_written_to_commits(
    settings, receiver_of, django_capture_on_commit_callbacks
):
    settings.DATABASE_ROUTERS = ["tests.managers.test_databases.EverythingInOther"]
    user = UserFactory()
    session = UserSession.objects.start(user)
    told = receiver_of(session_revoked)
    with django_capture_on_commit_callbacks(using="other", execute=True):
        assert sessions(user).revoke("stolen") == 1
        assert told == []
    assert [each["session_ids"] for each in told] == [[session.pk]]


@pytest.mark.django_db(databases=["default", "other"])
def test_a_database_can_be_named(user):
    there = UserSession.objects.db_manager("other")
    other = UserFactory._meta.model(username="there", pk=user.pk)
    other.save(using="other", force_insert=True)
    session = there.start(other)
    assert there.verify(other.pk, session.pk) == session
    assert UserSession.objects.verify(other.pk, session.pk) is None


@pytest.mark.usefixtures("restored_time_zone")
def test_without_time_zones_the_rules_are_the_same(user, settings, later):
    settings.USE_TZ, settings.TIME_ZONE = False, "America/Phoenix"  # where no clock is ever changed
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 3600, "TOUCH_INTERVAL": 60, "MAX_SESSIONS": 1}
    UserSession.objects.start(user)
    session = UserSession.objects.start(user)
    assert timezone.is_naive(session.expires_at)
    assert UserSession.objects.verify(user.pk, session.pk) == session
    later(60)
    assert sessions(user).touch() == 1
    later(3599)
    assert UserSession.objects.verify(user.pk, session.pk).is_active
    later(1)
    assert UserSession.objects.verify(user.pk, session.pk) is None
    later(31 * 24 * 3600)
    assert UserSession.objects.cleanup() == CleanupResult(1, 1, True)


@pytest.fixture
def restored_time_zone(settings):
    yield
    settings.USE_TZ, settings.TIME_ZONE = True, "America/Chicago"
    for alias in connections:
        connections[alias].ensure_timezone()
