"""The limit holds at every isolation level of the database, for logins that come at once."""

import re

import pytest
from django.db import OperationalError, connection, transaction

from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import UserSession
from tests.concurrency.sessions import active
from tests.threads import at_once, scaled

pytestmark = pytest.mark.django_db(transaction=True)


def levels():
    if connection.vendor == "postgresql":
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        return {level.name.lower(): level for level in IsolationLevel if level.name != "READ_UNCOMMITTED"}
    if connection.vendor == "mysql":
        return {
            name: name.replace("_", " ") for name in ("read_committed", "repeatable_read", "serializable")
        }
    return {"serializable": None}  # SQLite knows no other


LEVELS = levels()


@pytest.fixture(params=LEVELS)
def level(request, user, monkeypatch):
    """The isolation level of the connections that are opened from then on, those of the threads."""
    if LEVELS[request.param]:
        options = {**connection.settings_dict["OPTIONS"], "isolation_level": LEVELS[request.param]}
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    return request.param


@pytest.fixture(
    params=[(8, 2), pytest.param((64, 5), marks=pytest.mark.slow)], ids="{0[0]} at limit {0[1]}".format
)
def crowd(request):
    count, limit = request.param
    return scaled(count, min(count, 16)), limit


ASK = {"postgresql": "SHOW transaction_isolation", "mysql": "SELECT @@tx_isolation"}


def actual_level():
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ASK[connection.vendor])
        return re.sub("[ -]", "_", cursor.fetchone()[0]).lower()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it has one level")
def test_the_threads_have_the_level_that_is_tested(level):
    assert at_once([actual_level]) == [level]


@pytest.mark.parametrize("policy", ["revoke_oldest", "revoke_idlest"])
def test_logins_at_once_keep_to_the_limit_at_each_level(level, crowd, policy, user, settings):
    """F28: and each of them is let in."""
    count, limit = crowd
    settings.SESSIONS_EXT = {"MAX_SESSIONS": limit, "ON_LIMIT": policy}
    sessions = at_once([lambda: UserSession.objects.start(user)] * count)
    assert len({session.pk for session in sessions}) == count
    assert active(user).count() == limit


def test_logins_at_once_are_denied_beyond_the_limit_at_each_level(level, crowd, user, settings):
    """F28"""
    count, limit = crowd
    settings.SESSIONS_EXT = {"MAX_SESSIONS": limit, "ON_LIMIT": "deny"}
    outcomes = at_once([lambda: UserSession.objects.start(user)] * count, expected=SessionLimitReached)
    started = {outcome.pk for outcome in outcomes if isinstance(outcome, UserSession)}
    assert len(started) == limit
    assert set(active(user).values_list("pk", flat=True)) == set(
        UserSession.objects.values_list("pk", flat=True)
    )
    assert active(user).count() == limit


def test_logins_within_a_transaction_of_their_own_keep_to_the_limit(level, crowd, user, settings):
    """F28: where the project's transaction is at that level, the database may refuse a login and must
    let no more in than the limit."""
    count, limit = crowd
    settings.SESSIONS_EXT = {"MAX_SESSIONS": limit}

    def start():
        with transaction.atomic():
            return UserSession.objects.start(user)

    outcomes = at_once([start] * count, expected=OperationalError)
    assert 1 <= active(user).count() <= limit
    refused = [outcome for outcome in outcomes if isinstance(outcome, OperationalError)]
    assert not refused or level != "read_committed"
    assert UserSession.objects.count() == count - len(refused)
