"""The expired rows of Django's own session table."""

import json
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError

from sessions_ext.cleanup import CleanupResult
from sessions_ext.models import UserSession
from tests.cleanup.command import dead, run
from tests.cleanup.locks import held, locking, where_rows_are_locked
from tests.cleanup.rows import DAY, NOW, TICK, deletes, told_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]


@pytest.fixture
def stored():
    """Ten rows that have expired, and one that has not."""
    for number in range(10):
        Session.objects.create(session_key=f"old {number}", expire_date=NOW - number * DAY - TICK)
    return Session.objects.create(session_key="live", expire_date=NOW)


@pytest.mark.parametrize("backend", ["django.contrib.sessions.backends", "sessions_ext.engines"])
@pytest.mark.parametrize("engine", ["db", "cached_db"])
def test_they_go_after_the_sessions_own_rows(user, settings, stored, backend, engine):
    settings.SESSION_ENGINE = f"{backend}.{engine}"
    dead(user, 2)
    told = []
    result = UserSession.objects.cleanup(batch_size=4, progress=lambda done: told.append(done.payloads))
    assert result == CleanupResult(expired=2, revoked=2, payloads=10)
    assert told == [0, 0, 4, 8, 10]
    assert Session.objects.get() == stored


@pytest.mark.parametrize("engine", ["cache", "file", "signed_cookies"])
def test_where_the_engine_keeps_no_rows_the_table_is_left_alone(settings, stored, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    assert UserSession.objects.cleanup().payloads == 0
    assert Session.objects.count() == 11
    with pytest.raises(CommandError, match=r"^--payloads: SESSION_ENGINE keeps no sessions"):
        run(payloads=True)


def test_what_still_opens_a_session_stays_whatever_before_says(stored):
    assert UserSession.objects.cleanup(before=NOW + DAY, include_active=True).payloads == 10
    assert Session.objects.get() == stored


def test_before_leaves_out_what_expired_later(stored):
    assert UserSession.objects.cleanup(before=NOW - 7 * DAY).payloads == 3


def test_a_key_that_still_opens_a_session_is_never_deleted(client, user, settings):
    settings.SESSION_ENGINE = "sessions_ext.engines.db"
    client.force_login(user)
    UserSession.objects.cleanup()
    store = import_module(settings.SESSION_ENGINE).SessionStore(client.session.session_key)
    assert store["_auth_user_id"] == str(user.pk)


@pytest.mark.parametrize(("given", "gone"), [({}, 10), ({"payloads": True}, 10), ({"payloads": False}, 0)])
def test_the_command_may_be_told_to(stored, given, gone):
    words = run(**given).splitlines()
    assert words[0] == "Deleted 0 expired and 0 revoked sessions."
    assert words[1:] == ["Deleted 10 expired rows of Django's session table."] * bool(gone)
    assert Session.objects.count() == 11 - gone


def test_the_command_counts_them_for_people_and_for_machines(stored):
    assert run(dry_run=True).splitlines()[-1] == "Would delete 10 expired rows of Django's session table."
    dry = json.loads(run(dry_run=True, json=True))
    assert dry["payloads"] == sum(dry["by_reason_and_age"]["payloads"].values()) == 10
    assert json.loads(run(json=True))["payloads"] == 10


def test_verbosity_2_counts_them_batch_by_batch(stored):
    assert run(verbosity=2, batch_size=6).splitlines()[:2] == [
        "0 expired and 0 revoked sessions, 6 rows of Django's session table so far",
        "0 expired and 0 revoked sessions, 10 rows of Django's session table so far",
    ]


def test_the_bounds_count_them(stored):
    with pytest.raises(SystemExit) as stopped:
        run(max_rows=7)
    assert stopped.value.code == 75
    assert Session.objects.count() == 4


def test_another_database_is_not_the_one_with_the_table(user, stored):
    with pytest.raises(CommandError, match=r"^--payloads: "):
        run(database="other", payloads=True)


def test_a_projects_receiver_is_told_of_each(stored):
    with told_of(Session) as told:
        assert UserSession.objects.cleanup().payloads == 10
    assert sorted(told) == [f"old {number}" for number in range(10)]


def tied(*counts):
    """So many rows for each of some moments, the first of them first."""
    Session.objects.bulk_create(
        Session(session_key=f"{moment} {number}", expire_date=NOW - DAY + moment * TICK)
        for moment, count in enumerate(counts)
        for number in range(count)
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("counts", [(8,), (9,), (4, 5), (3, 9, 3), (1, 8, 1, 4), (1,) * 8])
@pytest.mark.parametrize("max_rows", [None, 1, 5, 8, 11])
def test_rows_that_expired_at_one_moment_go_in_bounded_batches(counts, max_rows):
    """set_expiry(midnight), say."""
    tied(*counts)
    told = []
    with deletes() as sizes:
        cleaned = UserSession.objects.cleanup(
            batch_size=4, max_rows=max_rows, progress=lambda done: told.append(done.payloads)
        )
    gone = min(max_rows or sum(counts), sum(counts))
    assert cleaned == CleanupResult(payloads=gone, is_complete=gone == sum(counts))
    assert Session.objects.count() == sum(counts) - gone
    assert max(sizes) <= 4
    assert told == [*range(4, gone, 4), gone]


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
@pytest.mark.usefixtures("impatient")
def test_locked_rows_of_many_that_expired_at_one_moment_keep_no_others():
    tied(3, 20, 3)
    locked = {Session(pk=key) for key in ("1 1", "1 13", "1 5")}
    with held(locking(*locked)), deletes() as sizes:
        cleaned = UserSession.objects.cleanup(batch_size=4)
    assert cleaned == CleanupResult(payloads=23, is_complete=False)
    assert set(Session.objects.all()) == locked
    assert max(sizes) <= 4


@dataclass(frozen=True, order=True)
class Key:
    """As a project's own field returns it."""

    text: str


@pytest.mark.parametrize("around", [nullcontext, partial(told_of, Session)], ids=["alone", "with receivers"])
def test_keys_are_what_the_models_field_makes_of_them(around, monkeypatch):
    tied(20)
    field = Session._meta.pk
    monkeypatch.setattr(field, "from_db_value", lambda text, *of: Key(text), raising=False)
    monkeypatch.setattr(field, "get_prep_value", lambda key: getattr(key, "text", key))
    with around():
        assert UserSession.objects.cleanup(batch_size=3).payloads == 20
