"""What one row does."""

import logging
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_ext import activity
from sessions_ext.models import EndedBy, RevokedReason, UserSession
from sessions_ext.signals import session_flagged, session_revoked
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.costs import COUNTED

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(user) -> UserSession:
    return UserSessionFactory(user=user)


# Providers


def test_providers_are_listed_once_each_in_order(session, later):
    assert session.record_provider_access("mail") == ["mail"]
    assert session.record_provider_access("drive") == ["mail", "drive"]
    assert session.record_provider_access("mail") == ["mail", "drive"]
    session.refresh_from_db()
    assert session.providers_accessed == ["mail", "drive"]
    assert session.last_provider_accessed == "mail"
    assert session.last_provider_sync_at == timezone.now()


@pytest.mark.parametrize("name", ["quote's", 'quote"s', "100%", "%s", "日本語", "a\\b", "null", "[]", "7"])
def test_any_printable_name_is_a_provider(session, name):
    session.record_provider_access("other")
    for _ in range(2):
        assert session.record_provider_access(name) == ["other", name]


@pytest.mark.parametrize("name", ["", "x" * 101, "a\x00b", "a\nb"])
def test_a_name_that_is_no_name_is_refused(session, name):
    with pytest.raises(ValueError, match="1 to 100 printable characters"):
        session.record_provider_access(name)
    session.refresh_from_db()
    assert session.providers_accessed == []


def test_recording_a_provider_is_one_statement(session, django_assert_num_queries):
    with django_assert_num_queries(COUNTED):
        session.record_provider_access("mail")


def test_the_list_lives_in_the_row_not_in_the_object(session):
    stale = UserSession.objects.get(pk=session.pk)
    session.record_provider_access("mail")
    assert stale.record_provider_access("drive") == ["mail", "drive"]


# Suspicion


def test_flags_are_counted_told_and_logged(
    session, caplog, receiver_of, django_capture_on_commit_callbacks, django_assert_num_queries
):
    received = receiver_of(session_flagged)
    with caplog.at_level(logging.WARNING, "sessions_ext"), django_capture_on_commit_callbacks(execute=True):
        with django_assert_num_queries(COUNTED):
            assert session.flag_suspicious("new_network", self="x", network="203.0.113.0/24") == 1
        assert UserSession.objects.get(pk=session.pk).flag_suspicious("travel") == 2
    first, second = received
    assert first == {
        "session": session,
        "kind": "new_network",
        "details": {"self": "x", "network": "203.0.113.0/24"},
        "count": 1,
    }
    assert (second["kind"], second["count"]) == ("travel", 2)
    assert "new_network" in caplog.text
    assert "203.0.113" not in caplog.text  # details are the receiver's, not the log's


def test_flags_alone_end_nothing(session):
    for _ in range(50):
        session.flag_suspicious("kind")
    assert UserSession.objects.active().get() == session


def test_the_threshold_ends_the_session(session, settings, receiver_of, django_capture_on_commit_callbacks):
    received = receiver_of(session_revoked)
    settings.SESSIONS_EXT = {"SUSPICION_THRESHOLD": 2}
    with django_capture_on_commit_callbacks(execute=True):
        assert session.flag_suspicious("kind") == 1
        assert UserSession.objects.active().exists()
        assert session.flag_suspicious("kind") == 2
        assert session.flag_suspicious("kind") == 3
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.SUSPICIOUS
    assert [sent["session_ids"] for sent in received] == [[session.pk]]


def test_a_deleted_row_is_not_there_to_be_changed(session):
    UserSession.objects.all().delete()
    with pytest.raises(UserSession.DoesNotExist):
        session.flag_suspicious("kind")
    with pytest.raises(UserSession.DoesNotExist):
        session.record_provider_access("mail")
    assert not UserSession.objects.exists()


# Touch and end


def test_a_row_is_touched_once_per_interval(session, rf, later, django_assert_num_queries):
    request = rf.get("/", REMOTE_ADDR="203.0.113.4")
    with django_assert_num_queries(0):
        assert activity.record(session, request) is False
    later(60)
    with django_assert_num_queries(1):
        assert activity.record(session, request) is True
        assert activity.record(session, request) is False
    assert session.last_activity_at == timezone.now()
    session.refresh_from_db()
    assert session.last_activity_at == timezone.now()
    assert session.last_ip_address == "203.0.113.4"


def test_a_touch_without_a_request_keeps_the_address(session, later):
    later(60)
    assert activity.record(session, None) is True
    session.refresh_from_db()
    assert session.last_ip_address == "192.0.2.1"


def test_a_row_that_ended_meanwhile_is_not_touched(session, rf, later):
    UserSession.objects.all().revoke("x")
    before = session.last_activity_at
    later(60)
    assert activity.record(session, rf.get("/")) is False
    session.refresh_from_db()
    assert session.last_activity_at == before


def test_a_touch_may_move_the_end_whenever_it_comes(session, later, django_assert_num_queries):
    end = session.created_at + timedelta(hours=1)
    with django_assert_num_queries(1):
        assert activity.record(session, None, expires_at=end) is True
    assert session.expires_at == end
    session.refresh_from_db()
    assert session.expires_at == end


def test_the_end_of_an_ended_session_stays(session, later):
    UserSession.objects.all().revoke("x")
    before = session.expires_at
    assert activity.record(session, None, expires_at=before - timedelta(days=1)) is False
    assert session.expires_at == before
    session.refresh_from_db()
    assert session.expires_at == before


# What a row says of itself


def test_who_ended_it(session):
    assert session.ended_by is None
    UserSession.objects.all().revoke(RevokedReason.ADMIN)
    session.refresh_from_db()
    assert session.ended_by == EndedBy.ADMIN


def test_its_text_names_the_device_and_the_day(session):
    assert str(session) == f"Firefox on Linux, {timezone.localtime(session.created_at):%Y-%m-%d %H:%M}"
    session.device_info = ""
    assert str(session).startswith("Unknown device, ")


def test_no_text_of_a_row_holds_a_refresh_token(session):
    session.refresh_token_id = uuid.uuid4()
    assert str(session.refresh_token_id) not in repr(session) + str(session)


def test_a_user_is_reached_from_the_row_and_back(session, user):
    assert list(user.user_sessions.active()) == [session]
    assert session.user == user


def test_a_deleted_users_sessions_go_with_them(user):
    UserSessionFactory.create_batch(3, user=user)
    kept = UserSessionFactory()
    get_user_model().objects.filter(pk=user.pk).delete()
    assert list(UserSession.objects.all()) == [kept]


@pytest.mark.parametrize("is_received", [False, True])
def test_a_row_is_deleted_by_one_statement_and_receivers_get_the_object(session, is_received):
    received, kept = [], UserSessionFactory(user=session.user)

    def receive(instance, **kwargs):
        received.append(instance)

    if is_received:
        pre_delete.connect(receive, sender=UserSession)
    try:
        with CaptureQueriesContext(connection) as queries:
            deleted = session.delete()
    finally:
        pre_delete.disconnect(receive, sender=UserSession)
    assert deleted == (1, {"sessions_ext.UserSession": 1})
    assert [query["sql"].split()[0] for query in queries].count("DELETE") == 1
    assert session.pk is None
    assert received == [session] * is_received
    assert UserSession.objects.get() == kept


def test_a_row_without_a_key_is_not_deleted(session):
    with pytest.raises(ValueError, match="can't be deleted"):
        UserSession(pk=None, user=session.user).delete()
    assert UserSession.objects.get() == session


def test_a_row_can_be_loaded_again_from_a_queryset(session, django_assert_num_queries):
    UserSession.objects.update(is_trusted=True)
    with django_assert_num_queries(1):
        session.refresh_from_db(from_queryset=UserSession.objects.select_related("user"))
        assert session.user.pk == session.user_id
    assert session.is_trusted


def test_saving_a_row_gives_it_to_nobody_else(session, user):
    other = UserFactory()
    session.user = other
    with pytest.raises(DatabaseError), transaction.atomic():
        session.save(update_fields=["location"])
    with pytest.raises(IntegrityError), transaction.atomic():
        session.save()
    assert UserSession.objects.get().user == user


def test_a_touch_writes_no_index(transactional_db):
    """It must stay a heap-only update in PostgreSQL."""
    written = {"last_activity_at", "last_ip_address"}
    indexed = set()
    with connection.cursor() as cursor:
        table = UserSession._meta.db_table
        for constraint in connection.introspection.get_constraints(cursor, table).values():
            if constraint["index"] or constraint["unique"] or constraint["primary_key"]:
                indexed.update(constraint["columns"])
    assert {"user_id", "created_at", "expires_at", "revoked_at", "refresh_token_id"} <= indexed
    assert not written & indexed


def test_no_second_index_starts_with_the_user_alone(db):
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, UserSession._meta.db_table)
    assert not [c for c in constraints.values() if c["index"] and c["columns"] == ["user_id"]]


def test_users_of_every_key_type_have_sessions(db):
    first, second = UserFactory(), UserFactory()
    UserSession.objects.start(first)
    session = UserSession.objects.start(second)
    assert UserSession.objects.verify(str(second.pk), str(session.pk)).user == second
    assert UserSession.objects.for_user(second).revoke("x") == 1
    assert UserSession.objects.for_user(first).active().count() == 1
