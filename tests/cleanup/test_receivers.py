"""Receivers of post_delete hear of exactly the rows that go, whatever happens meanwhile."""

import threading

import pytest
from django.db import OperationalError, connection, connections
from django.db.models import PROTECT, ProtectedError
from django.db.models.signals import post_delete, pre_delete
from django.utils import timezone

from sessions_ext.cleanup import CleanupResult
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.cleanup.locks import held, on_postgresql, when_met, where_rows_are_locked
from tests.cleanup.rows import DAY, NOW, RETENTION, TICK, deletes, expired, left, make, revoked
from tests.notes.models import Note
from tests.patience import SECONDS

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("frozen")
def test_receivers_of_post_delete_hear_of_every_row_and_of_no_other(user, deleted_ids):
    kept = make(user, [NOW, NOW + DAY]) + revoked(user, [NOW - RETENTION])
    gone = expired(user, 12) + revoked(user, [NOW - 2 * RETENTION] * 11)
    with deletes() as sizes:
        assert UserSession.objects.cleanup(batch_size=5) == CleanupResult(12, 11, True)
    assert sorted(deleted_ids) == sorted(row.pk for row in gone)
    assert max(sizes) <= 5
    assert left() == set(kept)


@pytest.mark.django_db(databases=["default", "other"])
def test_receivers_hear_of_the_rows_of_another_database(deleted_ids):
    owner = UserFactory.build(username="owner")
    owner.save(using="other")
    session = UserSessionFactory.build(user=owner, expired=True)
    session.save(using="other")
    assert UserSession.objects.db_manager("other").cleanup() == CleanupResult(1, 0, True)
    assert deleted_ids == [session.pk]
    assert not UserSession.objects.using("other").exists()


@pytest.mark.usefixtures("frozen")
def test_a_receiver_that_fails_leaves_its_batch_whole(user):
    rows = expired(user, 6)

    def refuse(instance, **kwargs):
        if instance.pk == rows[1].pk:  # in the last batch, which is the youngest
            raise RuntimeError("no")

    pre_delete.connect(refuse, sender=UserSession)
    try:
        with pytest.raises(RuntimeError):
            UserSession.objects.cleanup(batch_size=3)
    finally:
        pre_delete.disconnect(refuse, sender=UserSession)
    assert left() == set(rows[:3])


@pytest.mark.django_db(transaction=True)
def test_a_row_that_changes_while_receivers_run_is_not_deleted():
    """Its end is moved by another connection between the look at a batch and the delete."""
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(20)])
    saved, changed = rows[3], threading.Event()

    def save(**kwargs):
        if changed.is_set():
            return
        changed.set()
        in_other_connection(
            lambda: UserSession.objects.filter(pk=saved.pk).update(expires_at=timezone.now() + DAY)
        )

    def in_other_connection(call):
        def run():
            with connection.cursor() as cursor:
                quick = {
                    "postgresql": "SET lock_timeout = '300ms'",
                    "sqlite": "PRAGMA busy_timeout = 300",
                    "mysql": "SET innodb_lock_wait_timeout = 1",
                }
                cursor.execute(quick[connection.vendor])
            try:
                call()
            except OperationalError:
                refused.append(1)
            finally:
                connections.close_all()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(SECONDS)

    refused, gone = [], []

    def receive(instance, **kwargs):
        gone.append(instance.pk)

    pre_delete.connect(save, sender=UserSession)
    post_delete.connect(receive, sender=UserSession)
    try:
        cleaned = UserSession.objects.cleanup(batch_size=50)
    finally:
        pre_delete.disconnect(save, sender=UserSession)
        post_delete.disconnect(receive, sender=UserSession)
    # The rows were locked when the receivers ran, so the change had to wait: it came too late.
    assert refused == [1]
    assert cleaned == CleanupResult(20, 0, True)
    assert len(gone) == 20


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
def test_a_row_that_lives_on_when_its_lock_is_free_is_spared(deleted_ids, impatient):
    user = UserFactory()
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(20)])
    later = f"UPDATE sessions_ext_usersession SET expires_at = '{timezone.now() + DAY:%Y-%m-%d %H:%M}'"
    with held(f"{later} WHERE id = '{rows[3].pk}'") as let_go, when_met(let_go):
        assert UserSession.objects.cleanup(batch_size=50) == CleanupResult(19, 0, True)
    assert [row.pk for row in left()] == [rows[3].pk]
    assert rows[3].pk not in deleted_ids


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_receivers_run_under_the_settings_of_their_connection():
    session = UserSessionFactory(expired=True)
    names = ["lock_timeout", "synchronous_commit", "enable_sort", "enable_seqscan"]
    seen = []

    def settings_of_the_session():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}")
            return cursor.fetchone()

    def receive(**kwargs):
        seen.append(settings_of_the_session())

    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '7s'; SET synchronous_commit = 'remote_apply'")
    before = settings_of_the_session()
    post_delete.connect(receive, sender=UserSession)
    try:
        assert UserSession.objects.cleanup() == CleanupResult(1, 0, True)
        assert [*seen, settings_of_the_session()] == [before, before]
    finally:
        post_delete.disconnect(receive, sender=UserSession)
        connection.close()
    assert session not in left()


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
def test_a_receiver_that_meets_a_lock_waits_for_it_and_runs_once_a_row(deleted_ids):
    user, other = UserFactory(), UserFactory(username="locked")
    rows = make(user, [timezone.now() - DAY - number * TICK for number in range(10)])

    def touch_other(**kwargs):
        type(other)._base_manager.filter(pk=other.pk).update(first_name="seen")

    table = type(other)._meta.db_table
    post_delete.connect(touch_other, sender=UserSession)
    try:
        with held(f"SELECT 1 FROM {table} WHERE username = 'locked' FOR UPDATE", until_waited_for=True):
            assert UserSession.objects.cleanup() == CleanupResult(10, 0, True)
    finally:
        post_delete.disconnect(touch_other, sender=UserSession)
    assert sorted(deleted_ids) == sorted(row.pk for row in rows)


@pytest.mark.django_db(transaction=True)
@where_rows_are_locked
def test_a_receiver_that_will_not_wait_for_its_own_lock_is_not_taken_for_a_locked_session():
    user, other = UserFactory(), UserFactory(username="locked")
    UserSessionFactory(user=user, expired=True)

    def refuse(**kwargs):
        list(type(other)._base_manager.select_for_update(nowait=True).filter(pk=other.pk))

    table = type(other)._meta.db_table
    post_delete.connect(refuse, sender=UserSession)
    try:
        with (
            held(f"SELECT 1 FROM {table} WHERE username = 'locked' FOR UPDATE"),
            pytest.raises(OperationalError),
        ):
            UserSession.objects.cleanup(max_seconds=300)
    finally:
        post_delete.disconnect(refuse, sender=UserSession)
    assert UserSession.objects.count() == 1


@pytest.fixture
def receiver_of_all_models():
    def receive(**kwargs):
        """Hears of every row of every table."""

    post_delete.connect(receive)
    yield
    post_delete.disconnect(receive)


@pytest.mark.usefixtures("receiver_of_all_models")
def test_a_receiver_of_all_models_is_told_of_once_for_a_run(user, caplog):
    for number in range(4):
        UserSessionFactory(user=user, expired=True, revoked=number % 2)
    UserSession.objects.cleanup(batch_size=1)
    assert [
        message for message in caplog.messages if "connected for all models" in message
    ] == caplog.messages
    assert len(caplog.messages) == 1


def test_a_receiver_for_sessions_is_meant_and_not_told_of(user, caplog, deleted_ids):
    session = UserSessionFactory(user=user, expired=True)
    UserSession.objects.cleanup()
    assert deleted_ids == [session.pk]
    assert caplog.messages == []


# Foreign keys


@pytest.mark.usefixtures("foreign_keys")
def test_what_points_at_a_session_goes_with_it_or_is_set_to_null_and_nothing_else_is(user):
    now = timezone.now()
    deleted = []

    def receive(instance, **kwargs):
        deleted.append(instance.text)

    kept = [
        UserSessionFactory(user=user),
        UserSessionFactory(user=user, revoked=True, expires_at=now - DAY),
    ]
    gone = [UserSessionFactory(user=user, expires_at=now - (1 + number) * DAY) for number in range(5)]
    gone += revoked(user, [now - 2 * RETENTION] * 5)
    for number, session in enumerate(kept + gone):
        Note.objects.create(session=session, text=str(number))
        Note.objects.create(session=kept[0], seen_in=session, text="seen")
    post_delete.connect(receive, sender=Note)
    try:
        assert UserSession.objects.cleanup(batch_size=3) == CleanupResult(5, 5, True)
    finally:
        post_delete.disconnect(receive, sender=Note)
    assert sorted(deleted, key=int) == [str(number) for number in range(2, 12)]
    assert set(Note.objects.values_list("session_id", flat=True)) == {session.pk for session in kept}
    assert Note.objects.filter(text="seen", seen_in=None).count() == 10
    assert Note.objects.filter(seen_in__in=kept).count() == 2
    assert set(UserSession.objects.all()) == set(kept)


def test_a_foreign_key_that_protects_stops_it_with_the_batch_whole(user, monkeypatch):
    monkeypatch.setattr(Note._meta.get_field("session").remote_field, "on_delete", PROTECT)
    now = timezone.now()
    rows = make(user, [now - DAY - number * TICK for number in range(6)])
    Note.objects.create(session=rows[0], text="kept")  # in the last batch, which is the youngest
    with pytest.raises(ProtectedError):
        UserSession.objects.cleanup(batch_size=3)
    assert left() == set(rows[:3])
