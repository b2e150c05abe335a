"""Races: threads that stay, each with a connection of its own. F01 and F04."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from sessions_ext import tokens
from sessions_ext.models import UserSession
from tests.pairs import are_refused, claims_of
from tests.patience import SECONDS
from tests.tokens.logins import row_of, sign_in

pytestmark = pytest.mark.django_db


THREADS = 20


class Crew:
    def __init__(self, size):
        self.size = size
        self.pool = ThreadPoolExecutor(size)

    def at_once(self, calls):
        """What each call returned; they start together."""
        barrier = threading.Barrier(len(calls), timeout=SECONDS)

        def run(call):
            connection.ensure_connection()
            barrier.wait()
            return call()

        return [future.result(2 * SECONDS) for future in [self.pool.submit(run, call) for call in calls]]

    def leave(self):
        self.at_once([connections.close_all] * self.size)
        self.pool.shutdown()


@pytest.fixture
def crew(transactional_db):
    crew = Crew(THREADS + 1)
    yield crew
    crew.leave()


def refreshes(pair):
    return [lambda: tokens.refresh(pair.refresh_token)] * THREADS


def race_within_grace(crew, user):
    pair = sign_in(user)
    pairs = crew.at_once(refreshes(pair))
    row = row_of(pair)
    # Each rotation replaces the token before it: one that replaced the first was the only one.
    assert row.previous_refresh_token_id == pair.session.refresh_token_id
    assert {each and claims_of(each.refresh_token)["jti"] for each in pairs} == {str(row.refresh_token_id)}
    verified = crew.at_once([lambda token=each.access_token: tokens.verify(token) for each in pairs])
    assert {session and session.pk for session in verified} == {row.pk}
    assert tokens.refresh(random.choice(pairs).refresh_token)
    assert row_of(pair).is_active


def race_without_grace(crew, user):
    pair = sign_in(user)
    won = [each for each in crew.at_once(refreshes(pair)) if each]
    assert len(won) == 1
    row = row_of(pair)
    assert row.revoked_reason == "refresh_reuse"
    assert row.previous_refresh_token_id == pair.session.refresh_token_id
    assert are_refused(won[0])


def race_with_a_revoke(crew, user):
    pair = sign_in(user)
    revoked = threading.Event()
    minted, too_late = [pair], []

    def refresh():
        while True:
            was_revoked = revoked.is_set()
            following = tokens.refresh(pair.refresh_token)
            if following:
                minted.append(following)
            if was_revoked:
                too_late.append(following or tokens.verify(pair.access_token))
                return

    def revoke():
        time.sleep(random.random() / 50)
        ended = UserSession.objects.for_user(user).filter(pk=pair.session.pk).revoke("stolen")
        revoked.set()
        return ended

    *_, ended = crew.at_once([refresh] * THREADS + [revoke])
    assert ended == 1
    assert too_late == [None] * THREADS
    assert row_of(pair).revoked_reason == "stolen"
    assert all(are_refused(each) for each in [*minted[:3], *minted[-3:]])
    row = row_of(pair)
    assert (row.revoked_reason, row.is_active) == ("stolen", False)


def rounds(few):
    return pytest.mark.parametrize("rounds", [few, pytest.param(200, marks=pytest.mark.slow)])


@rounds(5)
def test_many_refreshes_of_one_token_at_once_rotate_once_and_sign_nobody_out(rounds, crew, user, settings):
    """F01: 20 threads within the grace window: one rotation, and every pair that was given out works."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 60}
    for _ in range(rounds):
        race_within_grace(crew, user)


@rounds(5)
def test_many_refreshes_at_once_without_grace_have_one_winner_and_end_the_session(
    rounds, crew, user, settings
):
    """F01: 20 threads, and no two live families: the first replay ends the only one."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    for _ in range(rounds):
        race_without_grace(crew, user)


@rounds(5)
def test_after_a_revoke_returned_no_refresh_succeeds(rounds, crew, user, settings):
    """F04: 20 threads refresh while another one revokes."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 60}
    for _ in range(rounds):
        race_with_a_revoke(crew, user)


@pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="where a transaction that reads first may find itself locked out"
)
@rounds(5)
def test_refreshes_in_transactions_of_their_own_rotate_once(rounds, crew, user, settings):
    """F01: the same under ATOMIC_REQUESTS, where a rotation that others wait for is not committed yet."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 60}

    def refresh(token):
        with transaction.atomic():
            return tokens.refresh(token)

    for _ in range(rounds):
        pair = sign_in(user)
        pairs = crew.at_once([lambda pair=pair: refresh(pair.refresh_token)] * THREADS)
        row = row_of(pair)
        assert row.previous_refresh_token_id == pair.session.refresh_token_id
        jtis = {each and claims_of(each.refresh_token)["jti"] for each in pairs}
        assert jtis == {str(row.refresh_token_id)}
