"""Races, interleaved on purpose: nothing that ended is revived."""

import threading

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection, models, transaction

from sessions_ext import outages, verdict_cache
from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests.patience import SECONDS
from tests.verdicts.asking import verify
from tests.verdicts.ends import by_deleting_the_row, by_deleting_the_user, by_one, by_password

# In a transaction nothing is filled.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def paused(monkeypatch):
    """Run something in a thread up to where a verdict would be filled, and there do `meanwhile`."""

    def run(ask, meanwhile):
        reached, go_on = threading.Event(), threading.Event()
        keep, results = verdict_cache.set, []

        def wait_and_keep(session, hashes, version):
            monkeypatch.setattr(verdict_cache, "set", keep)
            reached.set()
            assert go_on.wait(SECONDS)
            keep(session, hashes, version)

        def work():
            try:
                results.append(ask())
            finally:
                connection.close()

        monkeypatch.setattr(verdict_cache, "set", wait_and_keep)
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert reached.wait(SECONDS)
        meanwhile()
        go_on.set()
        thread.join(SECONDS)
        return results[0]

    return run


@pytest.mark.parametrize("way", [by_one, by_password, by_deleting_the_row, by_deleting_the_user])
def test_a_fill_that_comes_late_revives_nothing(user, paused, way):
    """F17: the row was read before the revoke, the verdict is written after it returned."""
    session = UserSessionFactory(user=user)
    assert paused(lambda: verify(session), lambda: way(session))  # it began before the revoke
    assert verify(session) is None


def test_a_fill_between_the_revoke_and_its_commit_revives_nothing(user):
    """F17: what another worker reads before the commit is the active row."""
    session = UserSessionFactory(user=user)
    seen = []

    def elsewhere():
        try:
            seen.append(verify(session))
        finally:
            connection.close()

    thread = threading.Thread(target=elsewhere, daemon=True)
    with transaction.atomic():
        by_one(session)
        thread.start()
        thread.join(SECONDS)
    if connection.vendor == "postgresql":
        assert seen[0]
    assert verify(session) is None


def test_a_second_revoke_that_returns_first_has_ended_the_verdict(user, monkeypatch):
    """F17: it found nothing to do, but the first has not yet told the cache."""
    session = UserSessionFactory(user=user)
    assert verify(session)
    reached, go_on = threading.Event(), threading.Event()
    tell = outages.Watched.tell

    def tell_late(*args):
        monkeypatch.setattr(outages.Watched, "tell", tell)
        reached.set()
        assert go_on.wait(SECONDS)
        tell(*args)

    def first():
        try:
            by_one(session)
        finally:
            connection.close()

    monkeypatch.setattr(outages.Watched, "tell", tell_late)
    thread = threading.Thread(target=first, daemon=True)
    thread.start()
    assert reached.wait(SECONDS)
    # What a revoke of another session of theirs, which began before and ends now, does meanwhile.
    verdict_cache.invalidate({user.pk}, "default")
    assert UserSession.objects.filter(pk=session.pk).revoke("again") == 0
    after = verify(session)
    go_on.set()
    thread.join(SECONDS)
    assert after is None


def test_a_process_that_dies_after_its_revoke_revives_nothing(user, monkeypatch):
    """F17: at its commit, when the cache is still to be told."""
    session = UserSessionFactory(user=user)
    assert verify(session)

    def die():
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(outages, "new_version", die)
        with pytest.raises(KeyboardInterrupt):
            by_one(session)
    session.refresh_from_db()
    assert session.is_revoked
    assert verify(session) is None


def test_an_emptied_cache_revives_nothing(user, paused):
    """F17: not with a late fill either, which finds no trace of the revoke."""
    session = UserSessionFactory(user=user)

    def revoke_and_empty():
        by_one(session)
        cache.clear()

    assert paused(lambda: verify(session), revoke_and_empty)
    assert verify(session) is None
    assert verify(session) is None


def test_nothing_is_filled_within_a_transaction(user, django_assert_num_queries):
    """It may be older than the version that it would be filled under, or never be committed."""
    session = UserSessionFactory(user=user)
    with transaction.atomic():
        assert verify(session)
        with django_assert_num_queries(1):
            assert verify(session)


def test_who_fills_a_version_first_fills_it_for_all(user, monkeypatch, django_assert_num_queries):
    session = UserSessionFactory(user=user)
    monkeypatch.setattr(LocMemCache, "add", lambda *args, **kwargs: False)  # another was first
    for _ in range(2):
        with django_assert_num_queries(1):
            assert verify(session)


def test_a_fill_amid_a_deletion_revives_nothing(user, monkeypatch):
    """F17: what another worker reads before the row is gone is the active row."""
    session = UserSessionFactory(user=user)
    delete = models.QuerySet.delete
    seen = []

    def elsewhere():
        try:
            seen.append(verify(session))
        finally:
            connection.close()

    def delete_late(rows):
        monkeypatch.setattr(models.QuerySet, "delete", delete)
        thread = threading.Thread(target=elsewhere, daemon=True)
        thread.start()
        thread.join(SECONDS)
        return delete(rows)

    assert verify(session)
    monkeypatch.setattr(models.QuerySet, "delete", delete_late)
    assert UserSession.objects.filter(pk=session.pk).delete()[0] == 1
    assert seen == [session]
    assert verify(session) is None


def test_a_login_amid_a_deletion_is_not_deleted_untold(user, monkeypatch):
    delete = models.QuerySet.delete
    started = []

    def elsewhere():
        try:
            started.append(UserSession.objects.start(user))
            assert verify(started[0])
        finally:
            connection.close()

    threads = [threading.Thread(target=elsewhere, daemon=True)]

    def delete_late(rows):
        monkeypatch.setattr(models.QuerySet, "delete", delete)
        threads[0].start()
        if connection.vendor == "postgresql":  # elsewhere it waits for the deletion
            threads[0].join(SECONDS)
        return delete(rows)

    monkeypatch.setattr(models.QuerySet, "delete", delete_late)
    assert UserSession.objects.for_user(user).delete()[0] == 0
    threads[0].join(SECONDS)
    assert verify(started[0]) == started[0]
    assert UserSession.objects.get() == started[0]


def test_a_commit_that_is_never_told_of_revives_nothing(user, caplog):
    """F17: a hook of the project's own that fails takes ours with it."""
    session = UserSessionFactory(user=user)
    seen = []

    def elsewhere():
        try:
            seen.append(verify(session))
        finally:
            connection.close()

    thread = threading.Thread(target=elsewhere, daemon=True)
    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
        transaction.on_commit(lambda: 1 / 0)
        by_one(session)
        thread.start()
        thread.join(SECONDS)
    assert len(seen) == 1
    session.refresh_from_db()
    assert session.is_revoked
    assert verify(session) is None
