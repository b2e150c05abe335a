"""The limit holds however many log in at once."""

import itertools

import pytest
from django.test import Client

from sessions_ext import make_room
from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import UserSession
from tests.concurrency.sessions import LIMIT, active, limited, make_sessions
from tests.threads import at_once, scaled

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("policy", ["revoke_oldest", "revoke_idlest"])
def test_simultaneous_starts_keep_to_the_limit(policy, user, settings):
    """F20: 64 simultaneous logins of one user, limit 5: 5 active."""
    settings.SESSIONS_EXT = limited(policy)
    count = scaled(64, 16)
    sessions = at_once([lambda: UserSession.objects.start(user)] * count)
    assert len({session.pk for session in sessions}) == UserSession.objects.count() == count
    assert active(user).count() == LIMIT


def test_simultaneous_starts_beyond_the_limit_are_denied(user, settings):
    """F20: where the limit denies, 5 of 64 simultaneous logins succeed and nothing else is inserted."""
    settings.SESSIONS_EXT = limited("deny")
    count = scaled(64, 16)
    outcomes = at_once([lambda: UserSession.objects.start(user)] * count, expected=SessionLimitReached)
    started = [outcome.pk for outcome in outcomes if isinstance(outcome, UserSession)]
    assert len(started) == LIMIT
    assert sum(isinstance(outcome, SessionLimitReached) for outcome in outcomes) == count - LIMIT
    assert set(UserSession.objects.values_list("pk", flat=True)) == set(started)


def log_in_by_view(user):
    client = Client()
    return client, client.post(f"/login/{user.username}/").status_code == 302


def log_in_by_force(user):
    client = Client()
    try:
        client.force_login(user)
    except SessionLimitReached:
        return client, False
    return client, True


@pytest.mark.urls("tests.concurrency.site")
@pytest.mark.parametrize("policy", ["revoke_oldest", "revoke_idlest", "deny"])
@pytest.mark.parametrize("way", [log_in_by_view, log_in_by_force])
def test_simultaneous_cookie_logins_keep_to_the_limit(way, policy, user, settings):
    """F20: of 32 browsers that log one user in at once, exactly 5 stay logged in."""
    settings.SESSIONS_EXT = limited(policy)
    count = scaled(32, 16)
    logins = at_once([lambda: way(user)] * count)
    assert sum(succeeded for _, succeeded in logins) == (LIMIT if policy == "deny" else count)
    assert UserSession.objects.count() == (LIMIT if policy == "deny" else count)
    assert active(user).count() == LIMIT
    assert sum(client.get("/home/").status_code == 200 for client, _ in logins) == LIMIT


def test_a_stream_of_logins_keeps_to_the_limit(user, settings, revoked_ids):
    """F20: 16 threads log one user in 320 times, limit 5: 5 active, each other ended once."""
    settings.SESSIONS_EXT = limited("revoke_oldest")
    each, threads = scaled((20, 16), (10, 8))
    at_once([lambda: [UserSession.objects.start(user) for _ in range(each)]] * threads)
    assert active(user).count() == LIMIT
    assert len(revoked_ids) == len(set(revoked_ids)) == each * threads - LIMIT


def test_the_way_out_of_the_limit_ends_one_session_however_often_it_is_taken_at_once(user, settings):
    settings.SESSIONS_EXT = limited("deny")
    make_sessions(user, LIMIT)
    url = f"/devices/make-room/{make_room.token_for(user)}/"
    ids = active(user).values_list("pk", flat=True)
    at_once([lambda pk=pk: Client().post(url, {"session": str(pk)}) for pk in ids])
    assert active(user).count() == LIMIT - 1


def test_a_lowered_limit_is_held_once_by_many_at_once(user, settings):
    make_sessions(user, 50)
    settings.SESSIONS_EXT = limited("revoke_oldest")
    newest = set(active(user).newest_first().values_list("pk", flat=True)[:LIMIT])
    evicted = at_once([lambda: UserSession.objects.enforce_limit(user)] * 16)
    assert len(list(itertools.chain(*evicted))) == 50 - LIMIT
    assert set(active(user).values_list("pk", flat=True)) == newest
