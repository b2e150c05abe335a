"""The operations of the table, one by one."""

import uuid
from datetime import date, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, connections, models, transaction
from django.db.models.functions import Lower
from django.template import Context, Template
from django.utils import timezone

from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.signals import session_limit_reached, session_revoked
from sessions_ext.testing import UserFactory, UserSessionFactory

pytestmark = pytest.mark.django_db


def started(user, **ago) -> UserSession:
    return UserSessionFactory(user=user, created_at=timezone.now() - timedelta(**ago))


def sessions(user) -> models.QuerySet[UserSession]:
    return UserSession.objects.for_user(user)


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
    assert sessions(user).filter(pk=session.pk).link_refresh_token(second) == 1
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


# Trust


def test_only_what_is_active_can_be_trusted(user, django_assert_num_queries):
    active, stranger = UserSessionFactory(user=user), UserSessionFactory()
    UserSessionFactory(user=user, revoked=True)
    UserSessionFactory(user=user, expired=True)
    with django_assert_num_queries(1):
        assert sessions(user).trust() == 1
    assert list(UserSession.objects.filter(is_trusted=True)) == [active]
    assert sessions(stranger.user).trust() == 1
    assert sessions(user).untrust() == 1
    assert list(UserSession.objects.filter(is_trusted=True)) == [stranger]


# Start


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
    with django_assert_num_queries(3):  # in a savepoint
        UserSession.objects.start(user)


def test_start_is_three_statements_within_the_limit(user, settings, django_assert_num_queries):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1}
    lock = connection.vendor == "postgresql"
    with django_assert_num_queries(2 + lock + 2):  # in a savepoint: insert, look for surplus
        UserSession.objects.start(user)
    with django_assert_num_queries(2 + lock + 3):  # and revoke it
        UserSession.objects.start(user)


def test_a_session_of_an_unsaved_user_is_refused(db):
    with pytest.raises(ValueError, match="Only a saved user"):
        UserSession.objects.start(UserFactory._meta.model(pk=UserFactory().pk))
    with pytest.raises(ValueError, match="Only a saved user"):
        UserSession.objects.start(AnonymousUser())


# The limit


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
    settings.SESSIONS_EXT = {"MAX_SESSIONS": "tests.test_managers.limit_by_tier"}
    session = UserSessionFactory(user=user)
    user.first_name = "below"
    with pytest.raises(SessionLimitReached):
        UserSession.objects.start(user)
    assert UserSession.objects.enforce_limit(user) == [session.pk]


def test_the_limit_may_be_the_projects_own(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": "tests.test_managers.limit_by_tier"}
    for tier, active in (("", 4), ("team", 3), ("free", 1)):
        user.first_name = tier
        for _ in range(4):
            UserSession.objects.start(user)
        assert sessions(user).active().count() == active
        sessions(user).delete()


def test_a_limit_of_a_wrong_type_is_named(user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": "tests.test_managers.limit_by_tier"}
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


# Revoke


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


def test_revoke_is_one_statement(user, django_assert_num_queries):
    UserSessionFactory.create_batch(3, user=user)
    with django_assert_num_queries(1):
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
    assert sessions(user).link_refresh_token(second) == 1
    session = sessions(user).get()
    assert session.refresh_token_id == second
    assert session.previous_refresh_token_id == first
    assert session.refreshed_at == timezone.now()


def test_an_ended_session_gets_no_refresh_token(user):
    UserSessionFactory(user=user, revoked=True)
    UserSessionFactory(user=user, expired=True)
    assert sessions(user).link_refresh_token(uuid.uuid4()) == 0
    assert not sessions(user).filter(refresh_token_id__isnull=False).exists()


# Other databases and clocks


class EverythingInOther:
    def db_for_read(self, model, **hints):
        return "default"

    def db_for_write(self, model, **hints):
        return "other"


@pytest.mark.django_db(databases=["default", "other"])
def test_a_router_says_where_sessions_are_written_and_verified(settings):
    """Never on the database that is read from: it may lag behind a revoke."""
    settings.DATABASE_ROUTERS = ["tests.test_managers.EverythingInOther"]
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
def test_a_database_can_be_named(user):
    there = UserSession.objects.db_manager("other")
    other = UserFactory._meta.model(username="there", pk=user.pk)
    other.save(using="other", force_insert=True)
    session = there.start(other)
    assert there.verify(other.pk, session.pk) == session
    assert UserSession.objects.verify(other.pk, session.pk) is None


@pytest.mark.usefixtures("restored_time_zone")
def test_without_time_zones_the_rules_are_the_same(user, settings, later):
    settings.USE_TZ = False
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
    assert UserSession.objects.cleanup() == (1, 1, True)


@pytest.fixture
def restored_time_zone(settings):
    yield
    settings.USE_TZ = True
    for alias in connections:
        connections[alias].ensure_timezone()
