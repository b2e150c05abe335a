"""Random sequences of the operations, against the rules of the design in plain Python."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.test import override_settings
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sessions_ext.cleanup import CleanupResult
from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory

LIFETIME, IDLE, INTERVAL, RETENTION = (timedelta(seconds=seconds) for seconds in (1000, 300, 60, 500))
POLICIES = ["revoke_oldest", "revoke_idlest", "deny"]

users = st.sampled_from([0, 0, 0, 1])
indexes = st.integers(0, 50)


@dataclass
class Row:
    id: UUID
    user: int
    created_at: datetime
    last_activity_at: datetime
    expires_at: datetime
    reason: str = ""
    revoked_at: datetime | None = None
    flags: int = 0
    providers: list[str] = field(default_factory=list)
    token: UUID | None = None
    previous_token: UUID | None = None

    def is_active(self, now: datetime) -> bool:
        return not self.reason and now < self.expires_at and now < self.last_activity_at + IDLE

    def end(self, reason: str, now: datetime) -> bool:
        if self.reason:
            return False
        self.reason, self.revoked_at = reason, now
        return True


class Sessions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = time_machine.travel(timezone.now().replace(microsecond=0), tick=False)
        self.traveller = self.clock.start()
        UserSession.objects.all().delete()
        self.users = [UserFactory() for _ in range(2)]
        self.rows: list[Row] = []

    def teardown(self) -> None:
        self.clock.stop()

    def of(self, user: int) -> list[Row]:
        return [row for row in self.rows if row.user == user]

    def active(self, user: int) -> list[Row]:
        return [row for row in self.of(user) if row.is_active(timezone.now())]

    def pick(self, index: int) -> Row:
        return self.rows[index % len(self.rows)]

    def stored(self, row: Row) -> Any:
        return UserSession.objects.for_user(self.users[row.user]).filter(pk=row.id)

    def keep(self, user: int, limit: int, policy: str, besides: Row | None = None) -> set[UUID]:
        """Revoke in the model what the limit leaves no room for."""
        candidates = [row for row in self.active(user) if row is not besides]
        if policy == "revoke_idlest":
            candidates.sort(key=lambda row: (row.last_activity_at, row.created_at, row.id), reverse=True)
        else:
            candidates.sort(key=lambda row: (row.created_at, row.id), reverse=True)
        surplus = candidates[limit - (besides is not None) :]
        for row in surplus:
            row.end("limit", timezone.now())
        return {row.id for row in surplus}

    @rule(user=users, number=st.integers(2, 4))
    def start_several(self, user: int, number: int) -> None:
        for _ in range(number):
            self.start(user, None, "deny", 1)

    @rule(
        user=users,
        limit=st.sampled_from([None, 1, 2, 3]),
        policy=st.sampled_from(POLICIES),
        seconds=st.sampled_from([0, 60]),
    )
    def start(self, user: int, limit: int | None, policy: str, seconds: int) -> None:
        self.traveller.shift(seconds)
        now = timezone.now()
        denied = limit is not None and policy == "deny" and len(self.active(user)) >= limit
        with override_settings(SESSIONS_EXT=configured(MAX_SESSIONS=limit, ON_LIMIT=policy)):
            try:
                session = UserSession.objects.start(self.users[user])
            except SessionLimitReached:
                assert denied
                return
        assert not denied
        row = Row(session.pk, user, now, now, now + LIFETIME)
        self.rows.append(row)
        if limit is not None:
            self.keep(user, limit, policy, besides=row)

    @rule(user=users, limit=st.integers(1, 3), policy=st.sampled_from(POLICIES[:2]))
    def enforce_limit(self, user: int, limit: int, policy: str) -> None:
        with override_settings(SESSIONS_EXT=configured(MAX_SESSIONS=limit, ON_LIMIT=policy)):
            ended = UserSession.objects.enforce_limit(self.users[user])
        assert set(ended) == self.keep(user, limit, policy)

    @rule(seconds=st.sampled_from([1, 59, 60, 61, 299, 300, 501, 1000]))
    def advance(self, seconds: int) -> None:
        self.traveller.shift(seconds)

    @precondition(lambda self: self.rows)
    @rule(index=indexes, reason=st.sampled_from(["logout", "stolen"]))
    def revoke_one(self, index: int, reason: str) -> None:
        row = self.pick(index)
        assert self.stored(row).revoke(reason) == row.end(reason, timezone.now())

    @precondition(lambda self: self.rows)
    @rule(index=indexes)
    def revoke_all_but_one(self, index: int) -> None:
        kept = self.pick(index)
        sessions = UserSession.objects.for_user(self.users[kept.user]).exclude(pk=kept.id)
        others = [row for row in self.of(kept.user) if row is not kept]
        assert sessions.revoke("user") == sum([row.end("user", timezone.now()) for row in others])

    @precondition(lambda self: self.rows)
    @rule(index=indexes)
    def touch(self, index: int) -> None:
        row, now = self.pick(index), timezone.now()
        due = row.is_active(now) and now >= row.last_activity_at + INTERVAL
        assert self.stored(row).touch() == due
        if due:
            row.last_activity_at = now

    @precondition(lambda self: self.rows)
    @rule(index=indexes)
    def flag(self, index: int) -> None:
        row = self.pick(index)
        row.flags += 1
        assert self.stored(row).get().flag_suspicious("kind") == row.flags

    @precondition(lambda self: self.rows)
    @rule(index=indexes, name=st.sampled_from(["mail", "drive", "it's"]))
    def record_provider(self, index: int, name: str) -> None:
        row = self.pick(index)
        if name not in row.providers:
            row.providers.append(name)
        assert self.stored(row).get().record_provider_access(name) == row.providers

    @precondition(lambda self: self.rows)
    @rule(index=indexes)
    def link_refresh_token(self, index: int) -> None:
        row, token = self.pick(index), uuid4()
        is_active = row.is_active(timezone.now())
        assert self.stored(row)._link_refresh_token(token) == is_active
        if is_active:
            row.token, row.previous_token = token, row.token
            assert UserSession.objects.by_refresh_token(token).pk == row.id

    @rule()
    def cleanup(self) -> None:
        now = timezone.now()
        expired = [row for row in self.rows if not row.reason and row.expires_at < now]
        revoked = [row for row in self.rows if row.revoked_at and row.revoked_at < now - RETENTION]
        with override_settings(SESSIONS_EXT=configured()):
            assert UserSession.objects.cleanup(batch_size=2) == CleanupResult(
                len(expired), len(revoked), True
            )
        self.rows = [row for row in self.rows if row not in expired + revoked]

    @invariant()
    def the_table_agrees(self) -> None:
        now = timezone.now()
        table = {
            session.pk: (
                session.created_at,
                session.last_activity_at,
                session.expires_at,
                session.revoked_reason,
                session.revoked_at,
                session.suspicious_activity_count,
                session.providers_accessed,
                session.refresh_token_id,
                session.previous_refresh_token_id,
                session.is_active,
            )
            for session in UserSession.objects.all()
        }
        assert table == {
            row.id: (
                row.created_at,
                row.last_activity_at,
                row.expires_at,
                row.reason,
                row.revoked_at,
                row.flags,
                row.providers,
                row.token,
                row.previous_token,
                row.is_active(now),
            )
            for row in self.rows
        }
        for number, user in enumerate(self.users):
            sessions = UserSession.objects.for_user(user)
            active = sorted(self.active(number), key=lambda row: (row.created_at, row.id))
            assert list(sessions.active().oldest_first().values_list("pk", flat=True)) == [
                r.id for r in active
            ]
            assert sessions.active().count() == len(active)
            gone = [row for row in self.of(number) if not row.reason and row not in active]
            assert set(sessions.expired().values_list("pk", flat=True)) == {row.id for row in gone}
            for row in self.of(number):
                assert bool(UserSession.objects.verify(user.pk, row.id)) == row.is_active(now)


def configured(**extra: Any) -> dict[str, Any]:
    return {
        "LIFETIME": LIFETIME,
        "IDLE_TIMEOUT": IDLE,
        "TOUCH_INTERVAL": INTERVAL,
        "REVOKED_RETENTION": RETENTION,
        **extra,
    }


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


@override_settings(SESSIONS_EXT=configured())
class TestSessions(TestCase, Sessions.TestCase):
    settings = examples(6)


@pytest.mark.slow
@override_settings(SESSIONS_EXT=configured())
class TestMoreSessions(TestCase, Sessions.TestCase):
    settings = examples(500)
