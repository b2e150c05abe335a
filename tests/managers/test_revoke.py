"""Revoking."""

import uuid
from datetime import date, timedelta

import pytest
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Lower
from django.template import Context, Template
from django.utils import timezone

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.signals import session_revoked
from sessions_ext.testing import UserSessionFactory
from tests.costs import ROWS
from tests.managers.rows import sessions

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


def test_revoke_reports_what_it_ended(user, later, receiver_of, django_capture_on_commit_callbacks):
    received = receiver_of(session_revoked)
    rows = UserSessionFactory.create_batch(3, user=user)
    other = UserSessionFactory()
    with django_capture_on_commit_callbacks(execute=True):
        assert UserSession.objects.filter(pk__in=[*(row.pk for row in rows), other.pk]).revoke("stolen") == 4
        assert sessions(user).revoke("again") == 0
    assert len(received) == 1
    assert set(received[0].pop("session_ids")) == {other.pk, *(row.pk for row in rows)}
    assert received[0] == {"user_ids": {user.pk, other.user_id}, "reason": "stolen"}
    for row in rows:
        row.refresh_from_db()
        assert (row.is_revoked, row.revoked_at, row.revoked_reason) == (True, timezone.now(), "stolen")


def test_revoke_keeps_the_first_reason(user, later):
    session = UserSessionFactory(user=user)
    assert sessions(user).revoke("first") == 1
    at = timezone.now()
    later(60)
    assert sessions(user).revoke("second") == 0
    session.refresh_from_db()
    assert (session.revoked_reason, session.revoked_at) == ("first", at)


def test_revoke_all_but_this_one(user):
    here, *_ = UserSessionFactory.create_batch(3, user=user)
    assert sessions(user).exclude(pk=here.pk).revoke(RevokedReason.USER) == 2
    assert list(sessions(user).active()) == [here]


def test_revoke_reaches_through_the_user(user):
    UserSessionFactory(user=user)
    UserSessionFactory()
    assert UserSession.objects.filter(user__username=user.get_username()).revoke("x") == 1
    assert sessions(user).revoked().exists()
    assert UserSession.objects.active().count() == 1


@pytest.mark.parametrize(
    "narrow",
    [
        lambda rows: rows.filter(created_at__year__gt=2000),
        lambda rows: rows.filter(created_at__date__gt=date(2000, 1, 1)),
        lambda rows: rows.filter(providers_accessed__0="mail"),
        lambda rows: rows.annotate(lowered=Lower("device_info")).filter(lowered="firefox on linux"),
        lambda rows: rows.filter(models.Exists(UserSession.objects.filter(pk=models.OuterRef("pk")))),
        lambda rows: rows.filter(pk__in=rows.values("pk")),
        lambda rows: rows.filter(models.Q(pk=uuid.uuid4()) | models.Q(is_trusted=False)),
        lambda rows: rows.filter(user__is_active=True).distinct(),
        lambda rows: rows.annotate(number=models.Count("user__groups")).filter(number=0),
        lambda rows: rows.select_related("user").newest_first(),
    ],
)
def test_any_queryset_can_be_touched_and_revoked(user, later, narrow):
    UserSessionFactory.create_batch(2, user=user, providers_accessed=["mail"])
    later(60)
    assert narrow(sessions(user)).touch() == 2
    assert narrow(sessions(user)).revoke("x") == 2
    assert not sessions(user).active().exists()


def test_rows_distinct_by_some_column_cannot_be_revoked(user):
    UserSessionFactory.create_batch(2, user=user)
    with pytest.raises(TypeError, match="distinct"):
        sessions(user).distinct("user").revoke("x")
    assert sessions(user).active().count() == 2


def test_revoke_holds_for_a_session_that_was_idle(user, settings):
    """It does not come back when the timeout is raised."""
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 60}
    session = UserSessionFactory(user=user, last_activity_at=timezone.now() - timedelta(hours=1))
    assert sessions(user).revoke("stolen") == 1
    settings.SESSIONS_EXT = {}
    assert UserSession.objects.verify(user.pk, session.pk) is None


@pytest.mark.parametrize("nothing", ["none", "empty_list", "unknown"])
def test_revoke_of_nothing_is_zero(user, receiver_of, django_capture_on_commit_callbacks, nothing):
    received = receiver_of(session_revoked)
    UserSessionFactory(user=user)
    rows = {
        "none": UserSession.objects.none(),
        "empty_list": UserSession.objects.filter(pk__in=[]),
        "unknown": UserSession.objects.filter(pk=uuid.uuid4()),
    }[nothing]
    with django_capture_on_commit_callbacks(execute=True):
        assert rows.revoke("x") == 0
    assert not received


@pytest.mark.parametrize("reason", ["", "x" * 256, "a\0b"])
def test_a_reason_has_a_length(user, reason):
    UserSessionFactory(user=user)
    with pytest.raises(ValueError, match="1 to 255 characters"):
        sessions(user).revoke(reason)
    assert sessions(user).active().exists()


def test_a_slice_cannot_be_revoked(user):
    UserSessionFactory.create_batch(2, user=user)
    with pytest.raises(TypeError, match="slice"):
        sessions(user).oldest_first()[:1].revoke("x")


def test_the_world_is_not_signed_out_by_accident(user):
    UserSessionFactory(user=user)
    for name in ("revoke", "touch", "link_refresh_token", "arevoke", "atouch", "alink_refresh_token"):
        assert not hasattr(UserSession.objects, name)
        assert not hasattr(user.user_sessions, name)


def test_a_template_cannot_revoke(user):
    UserSessionFactory(user=user)
    Template("{{ rows.revoke }}{{ row.touch }}{{ row.flag_suspicious }}").render(
        Context({"rows": sessions(user), "row": sessions(user).get()})
    )
    assert sessions(user).active().exists()
    assert sessions(user).get().suspicious_activity_count == 0


def test_revoke_is_one_statement_where_that_is_possible(user, django_assert_num_queries):
    UserSessionFactory.create_batch(3, user=user)
    with django_assert_num_queries(ROWS):
        sessions(user).revoke("x")


def test_a_rolled_back_revoke_tells_nobody(user, receiver_of, django_capture_on_commit_callbacks):
    received = receiver_of(session_revoked)
    UserSessionFactory(user=user)
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        sessions(user).revoke("x")
        transaction.set_rollback(True)
    assert not received
    assert sessions(user).active().exists()


@pytest.mark.parametrize(
    "half",
    [
        {"is_revoked": True},
        {"is_revoked": False, "revoked_at": timezone.now()},
        {"is_revoked": False, "revoked_reason": "x"},
    ],
)
def test_a_half_revoked_row_cannot_exist(user, half):
    with pytest.raises(IntegrityError), transaction.atomic():
        UserSessionFactory(user=user, **half)


def test_a_session_without_an_end_cannot_exist(user):
    with pytest.raises(IntegrityError), transaction.atomic():
        UserSessionFactory(user=user, expires_at=None)
