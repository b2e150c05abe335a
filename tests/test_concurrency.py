"""Real threads with connections of their own, started together by a barrier."""

import itertools
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings
from django.contrib import auth
from django.contrib.auth.decorators import login_required
from django.db import OperationalError, connection, connections, transaction
from django.http import HttpResponse
from django.shortcuts import redirect
from django.test import Client
from django.urls import path
from django.utils import timezone

from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import UserSession
from sessions_ext.signals import session_revoked
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in

pytestmark = pytest.mark.django_db(transaction=True)

ENGINES = [
    f"django.contrib.sessions.backends.{name}"
    for name in ("db", "cached_db", "cache", "file", "signed_cookies")
]
LIMIT = 5
SECONDS = 60


# The views of this module's project.

gate = SimpleNamespace()


def login(request, username):
    user = auth.get_user_model().objects.get(username=username)
    auth.login(request, user, "django.contrib.auth.backends.ModelBackend")
    return redirect("/home/")


def logout(request):
    auth.logout(request)
    return redirect("/")


@login_required
def home(request):
    return HttpResponse(request.user_session.pk)


def wait_inside():
    gate.entered.set()
    assert gate.release.wait(SECONDS)


def read(request):
    assert request.user.is_authenticated
    wait_inside()
    return HttpResponse(request.user.username)


def write(request):
    assert request.user.is_authenticated
    wait_inside()
    request.session["basket"] = "a book"
    return HttpResponse()


def write_unread(request):
    wait_inside()
    request.session["basket"] = "a book"
    return HttpResponse()


def new_key(request):
    assert request.user.is_authenticated
    wait_inside()
    request.session.cycle_key()
    return HttpResponse()


def late(request):
    wait_inside()
    return home(request)


def late_logout(request):
    assert request.user.is_authenticated
    wait_inside()
    return logout(request)


HELD = {
    "read": 200,
    "write": 200,
    "write_unread": 200,
    "new_key": 200,
    "late": 302,
    "late_logout": 302,
}
urlpatterns = [
    path("login/<username>/", login),
    path("logout/", logout),
    path("home/", home),
    *(path(f"{name}/", globals()[name]) for name in HELD),
]


@pytest.fixture
def revoked_ids():
    """The ids that session_revoked carried, once for each time."""
    ids = []

    def receive(session_ids, **kwargs):
        ids.extend(session_ids)

    session_revoked.connect(receive)
    yield ids
    session_revoked.disconnect(receive)


def at_once(calls, expected=()):
    """What each call returned, or raised where that was expected."""
    calls = list(calls)
    outcomes, errors = [None] * len(calls), []
    barrier = threading.Barrier(len(calls), timeout=SECONDS)

    def run(number, call):
        try:
            connection.ensure_connection()
            barrier.wait()
            outcomes[number] = call()
        except expected as error:
            outcomes[number] = error
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise ExceptionGroup("in the threads", errors)
    return outcomes


def in_step(rounds, prepare, *calls):
    """Make the calls together, `rounds` times over, each in a thread of its own; `prepare` comes
    before each round."""
    barrier = threading.Barrier(len(calls), action=prepare, timeout=SECONDS)

    def repeat(call):
        try:
            for _ in range(rounds):
                barrier.wait()
                call()
        except threading.BrokenBarrierError:
            return  # the thread that broke it raises
        except Exception:
            barrier.abort()
            raise

    at_once([lambda call=call: repeat(call) for call in calls])


def scaled(postgresql, sqlite):
    """A size by the database: SQLite has one writer at a time and is slow at taking turns."""
    return postgresql if connection.vendor == "postgresql" else sqlite


def make_sessions(user, count, **fields):
    """Rows whose order in the table is not the order of their logins, nor of their ends."""
    now = timezone.now()
    sessions = UserSessionFactory.build_batch(count, user=user, **fields)
    for session in sessions:
        age = timedelta(seconds=random.randrange(3600))
        session.created_at, session.expires_at = session.created_at - age, session.expires_at - age
        session.last_activity_at = min(session.last_activity_at, now - timedelta(hours=1))
    return UserSession.objects.bulk_create(sessions)


def active(user):
    return UserSession.objects.for_user(user).active()


# Logins


def limited(policy, limit=LIMIT):
    return {"MAX_SESSIONS": limit, "ON_LIMIT": policy}


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


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("policy", ["revoke_oldest", "revoke_idlest", "deny"])
@pytest.mark.parametrize("way", [log_in_by_view, log_in_by_force])
def test_simultaneous_cookie_logins_keep_to_the_limit(way, policy, user, settings):
    """F20: of 64 browsers that log one user in at once, exactly 5 stay logged in."""
    settings.SESSIONS_EXT = limited(policy)
    count = scaled(64, 16)
    logins = at_once([lambda: way(user)] * count)
    assert sum(succeeded for _, succeeded in logins) == (LIMIT if policy == "deny" else count)
    assert UserSession.objects.count() == (LIMIT if policy == "deny" else count)
    assert active(user).count() == LIMIT
    assert sum(client.get("/home/").status_code == 200 for client, _ in logins) == LIMIT


def test_a_stream_of_logins_keeps_to_the_limit(user, settings, revoked_ids):
    """F20: 16 threads log one user in 640 times, limit 5: 5 active, each other ended once."""
    settings.SESSIONS_EXT = limited("revoke_oldest")
    each, threads = scaled((40, 16), (10, 8))
    at_once([lambda: [UserSession.objects.start(user) for _ in range(each)]] * threads)
    assert active(user).count() == LIMIT
    assert len(revoked_ids) == len(set(revoked_ids)) == each * threads - LIMIT


def test_a_lowered_limit_is_held_once_by_many_at_once(user, settings):
    make_sessions(user, 50)
    settings.SESSIONS_EXT = limited("revoke_oldest")
    newest = set(active(user).newest_first().values_list("pk", flat=True)[:LIMIT])
    evicted = at_once([lambda: UserSession.objects.enforce_limit(user)] * 16)
    assert len(list(itertools.chain(*evicted))) == 50 - LIMIT
    assert set(active(user).values_list("pk", flat=True)) == newest


# Counters on one row


def test_concurrent_flags_and_providers_lose_nothing(user):
    session = UserSession.objects.start(user)

    def write(number):
        row = UserSession.objects.get(pk=session.pk)
        row.record_provider_access(f"provider {number}")
        return row.flag_suspicious("test", number=number)

    counts = at_once([lambda number=number: write(number) for number in range(32)])
    session.refresh_from_db()
    assert sorted(counts) == list(range(1, 33))
    assert session.suspicious_activity_count == 32
    assert sorted(session.providers_accessed) == sorted(f"provider {number}" for number in range(32))


def test_concurrent_accesses_of_one_provider_are_listed_once(user):
    session = UserSession.objects.start(user)
    at_once([lambda: UserSession.objects.get(pk=session.pk).record_provider_access("mail")] * 32)
    session.refresh_from_db()
    assert session.providers_accessed == ["mail"]


def test_concurrent_flags_revoke_once_at_the_threshold(user, settings, revoked_ids):
    settings.SESSIONS_EXT = {"SUSPICION_THRESHOLD": 3}
    session = UserSession.objects.start(user)
    at_once([lambda: UserSession.objects.get(pk=session.pk).flag_suspicious("test")] * 16)
    session.refresh_from_db()
    assert (session.revoked_reason, session.suspicious_activity_count) == ("suspicious", 16)
    assert revoked_ids == [session.pk]


# Revoke against revoke


def test_racing_revokes_each_end_their_own(user, revoked_ids):
    sessions = make_sessions(user, 200)
    numbers = at_once(
        [lambda reason=str(number): UserSession.objects.for_user(user).revoke(reason) for number in range(16)]
    )
    reasons = Counter(UserSession.objects.values_list("revoked_reason", flat=True))
    assert reasons == Counter({str(number): ended for number, ended in enumerate(numbers) if ended})
    assert sum(numbers) == len(sessions)
    assert sorted(revoked_ids) == sorted(session.pk for session in sessions)


def test_revokes_of_the_same_rows_in_any_order_never_deadlock(user):
    """F21: sets of rows that overlap, named in different ways, are revoked at once without an error."""
    rows = UserSession.objects.for_user(user)
    ids = []

    def prepare():
        rows.delete()
        ids[:] = [session.pk for session in make_sessions(user, 200)]

    def by_id(select=lambda ids: ids):
        return lambda: UserSession.objects.filter(pk__in=select(ids)).revoke("user")

    in_step(
        scaled(60, 15),
        prepare,
        lambda: rows.revoke("user"),
        lambda: rows.newest_first().revoke("user"),
        by_id(),
        by_id(lambda ids: ids[::-1]),
        by_id(lambda ids: random.sample(ids, 100)),
        lambda: rows.exclude(pk=ids[100]).revoke("user"),
    )
    assert active(user).count() == 0


# Revoke against everything else


def test_revoke_all_never_deadlocks_with_logins(user, settings):
    """F21: revoke-all against start and enforce_limit of the same user, without an error."""
    settings.SESSIONS_EXT = limited("revoke_oldest")
    rows = UserSession.objects.for_user(user)

    def prepare():
        rows.delete()
        make_sessions(user, 100)

    in_step(
        scaled(60, 15),
        prepare,
        lambda: rows.revoke("user"),
        lambda: UserSession.objects.start(user),
        lambda: UserSession.objects.enforce_limit(user),
        lambda: UserSession.objects.start(user),
    )
    assert active(user).count() <= 2


def test_revoke_all_never_deadlocks_with_touches_of_one_row(user):
    """F21: revoke-all against the touches of requests, without an error."""
    rows = UserSession.objects.for_user(user)
    ids = []

    def prepare():
        rows.delete()
        ids[:] = [session.pk for session in make_sessions(user, 50)]

    in_step(
        scaled(60, 15),
        prepare,
        lambda: rows.revoke("user"),
        lambda: [rows.filter(pk=pk).touch() for pk in ids[:25]],
        lambda: [rows.filter(pk=pk).touch() for pk in ids[:25:-1]],
    )
    assert active(user).count() == 0


def test_revoke_all_never_deadlocks_with_touches_of_many_rows(user):
    """F21: revoke-all against touches of a set of rows, without an error."""
    rows = UserSession.objects.for_user(user)
    ids = []

    def prepare():
        rows.delete()
        ids[:] = [session.pk for session in make_sessions(user, 100)]

    in_step(
        scaled(60, 15),
        prepare,
        lambda: rows.revoke("user"),
        lambda: rows.touch("192.0.2.7"),
        lambda: UserSession.objects.filter(pk__in=ids[::-1]).touch(),
    )
    assert active(user).count() == 0


def test_the_end_of_a_user_never_deadlocks_with_a_revoke(settings):
    """F21: deleting users against revoking their sessions, without an error."""
    settings.SESSIONS_EXT = limited("revoke_oldest")
    users = []

    def prepare():
        users[:] = [UserFactory()]
        make_sessions(users[0], 50)

    in_step(
        scaled(60, 15),
        prepare,
        lambda: auth.get_user_model().objects.filter(pk=users[0].pk).delete(),
        lambda: UserSession.objects.for_user(users[0]).revoke("user"),
        lambda: UserSession.objects.for_user(users[0]).touch(),
    )
    assert UserSession.objects.count() == 0


# F18


def test_a_touch_never_revives_a_revoked_session(user, settings):
    """F18: a touch that races a revoke leaves the row ended, and none succeeds once revoke() returned."""
    settings.SESSIONS_EXT = {"TOUCH_INTERVAL": 0}
    sessions, touched_after = [], []
    revoked = threading.Event()

    def prepare():
        revoked.clear()
        sessions.append(UserSession.objects.start(user))

    def touch():
        for _ in range(1000):
            was_revoked = revoked.is_set()
            touched = UserSession.objects.filter(pk=sessions[-1].pk).touch()
            touched += UserSession.objects.get(pk=sessions[-1].pk).touch(None, expires_at=timezone.now())
            if was_revoked:
                touched_after.append(touched)
                return

    def revoke():
        UserSession.objects.filter(pk=sessions[-1].pk).revoke("user")
        revoked.set()

    in_step(scaled(100, 20), prepare, touch, touch, touch, revoke)
    assert set(touched_after) == {0}
    assert UserSession.objects.active().count() == 0
    assert UserSession.objects.revoked().count() == len(sessions)


def test_a_touch_never_revives_a_deleted_session(user, settings):
    """F18: a row that is deleted during touches stays deleted."""
    settings.SESSIONS_EXT = {"TOUCH_INTERVAL": 0}
    sessions = []

    def prepare():
        sessions[:] = [UserSession.objects.start(user)]

    def touch():
        for _ in range(5):
            sessions[0].touch(None)
            UserSession.objects.filter(pk=sessions[0].pk).touch()

    in_step(
        scaled(100, 20), prepare, touch, touch, lambda: UserSession.objects.filter(pk=sessions[0].pk).delete()
    )
    assert UserSession.objects.count() == 0


# Requests


def browser_with(store):
    client = Client()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = store.session_key
    return client


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("engine", ENGINES)
def test_simultaneous_requests_adopt_an_older_login_once(engine, user, settings):
    settings.SESSION_ENGINE = engine
    store = import_module(engine).SessionStore()
    store[auth.SESSION_KEY] = user._meta.pk.value_to_string(user)
    store[auth.BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    browsers = [browser_with(store) for _ in range(16)]
    answers = at_once([lambda browser=browser: browser.get("/home/") for browser in browsers])
    session = UserSession.objects.get()
    assert {(answer.status_code, answer.content.decode()) for answer in answers} == {(200, str(session.pk))}
    assert {browser.session[ID_KEY] for browser in browsers} == {str(session.pk)}


@contextmanager
def in_flight(client, view):
    """Holds a request inside of a view; gives a list that has its status in the end."""
    gate.entered, gate.release = threading.Event(), threading.Event()
    statuses = []

    def request():
        try:
            statuses.append(client.get(f"/{view}/").status_code)
        except BaseException as error:
            statuses.append(repr(error))
        finally:
            gate.entered.set()
            connections.close_all()

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    try:
        assert gate.entered.wait(SECONDS)
        yield statuses
    finally:
        gate.release.set()
        thread.join(SECONDS)
        assert not thread.is_alive()


def end_by_revoke(session, client):
    UserSession.objects.for_user(session.user_id).revoke("user")


def end_by_logout_elsewhere(session, client):
    twin = Client()
    twin.cookies = client.cookies.copy()
    assert twin.post("/logout/").status_code == 302


def end_by_delete(session, client):
    UserSession.objects.for_user(session.user_id).delete()


def end_by_deleting_the_user(session, client):
    session.user.delete()


def end_by_new_password(session, client):
    session.user.set_password("another")
    session.user.save()


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "end",
    [
        end_by_revoke,
        end_by_logout_elsewhere,
        end_by_delete,
        end_by_deleting_the_user,
        end_by_new_password,
    ],
)
def test_a_request_in_flight_when_its_login_ends_is_answered_normally(end, engine, settings):
    """F21: whatever ends the login and whatever the view does, the answer is 200 or 302, and the next
    request of that browser is logged out."""
    settings.SESSION_ENGINE = engine
    settings.SESSIONS_EXT = {"TOUCH_INTERVAL": 0}
    answers, next_answers = {}, {}
    for view in HELD:
        client = Client()
        session = log_in(client, UserFactory())
        with in_flight(client, view) as statuses:
            end(session, client)
        answers[view] = statuses[0]
        next_answers[view] = client.get("/home/").status_code
        assert not UserSession.objects.filter(pk=session.pk).active().exists()
    assert answers == HELD
    assert next_answers == dict.fromkeys(HELD, 302)


# Cleanup


def test_two_cleanups_at_once_delete_exactly_the_dead_rows(user, settings):
    day = timedelta(days=1)
    now = timezone.now()
    size = scaled(2000, 500)
    ended = {"is_revoked": True, "revoked_reason": "user"}
    make_sessions(user, size, expires_at=now - day)
    make_sessions(user, size, revoked_at=now - 40 * day, **ended)
    kept = [
        *make_sessions(user, 200),
        *make_sessions(user, 200, revoked_at=now - day, **ended),
        *make_sessions(user, 200, revoked_at=now - day, expires_at=now - day, **ended),
    ]
    rows = UserSession.objects.for_user(user)
    started = []

    def use():
        for session in kept[:100]:
            rows.filter(pk=session.pk).touch()
            started.append(UserSession.objects.start(user))

    *cleaned, _ = at_once([lambda: UserSession.objects.cleanup(batch_size=100)] * 2 + [use])
    assert sum(expired for expired, *_ in cleaned) == size
    assert sum(revoked for _, revoked, _ in cleaned) == size
    assert set(rows.values_list("pk", flat=True)) == {session.pk for session in [*kept, *started]}


def make_dead_sessions(users):
    UserSession.objects.all().delete()
    for user in users:
        make_sessions(user, 100, expires_at=timezone.now() - timedelta(days=1))


def test_cleanups_never_deadlock_with_each_other():
    """F21: cleanups with different batches, without an error."""
    users = UserFactory.create_batch(3)
    in_step(
        scaled(40, 10),
        lambda: make_dead_sessions(users),
        lambda: UserSession.objects.cleanup(batch_size=7),
        lambda: UserSession.objects.cleanup(batch_size=50),
        lambda: UserSession.objects.cleanup(batch_size=1000),
    )
    assert UserSession.objects.count() == 0


def test_cleanups_never_deadlock_with_a_revoke():
    """F21: a cleanup against a revoke of everyone and of each user, without an error."""
    users = UserFactory.create_batch(3)
    in_step(
        scaled(40, 10),
        lambda: make_dead_sessions(users),
        lambda: UserSession.objects.cleanup(),
        lambda: UserSession.objects.all().revoke("admin"),
        lambda: [UserSession.objects.for_user(user).revoke("user") for user in users],
    )
    assert UserSession.objects.expired().count() == 0


@contextmanager
def row_locked(session, seconds):
    """Another connection changes the row and commits after some seconds."""
    locked = threading.Event()

    def hold():
        with transaction.atomic():
            UserSession.objects.filter(pk=session.pk).update(location="here")
            locked.set()
            time.sleep(seconds)

    holder = threading.Thread(target=in_own_connection, args=[hold])
    holder.start()
    assert locked.wait(SECONDS)
    yield
    holder.join(SECONDS)


def in_own_connection(call):
    try:
        call()
    finally:
        connections.close_all()


def test_a_cleanup_waits_for_a_locked_row_and_does_not_skip_it(user):
    sessions = make_sessions(user, 20, expires_at=timezone.now() - timedelta(days=1))
    with row_locked(sessions[7], seconds=0.7):
        assert UserSession.objects.cleanup(batch_size=5) == (20, 0, True)
    assert not UserSession.objects.exists()


def test_a_cleanup_that_may_not_wait_says_so(user):
    sessions = make_sessions(user, 20, expires_at=timezone.now() - timedelta(days=1))
    impatient, patient = {
        "postgresql": ("SET statement_timeout = 50", "RESET statement_timeout"),
        "sqlite": ("PRAGMA busy_timeout = 50", "PRAGMA busy_timeout = 30000"),
    }[connection.vendor]
    with row_locked(sessions[7], seconds=0.5), connection.cursor() as cursor:
        cursor.execute(impatient)
        with pytest.raises(OperationalError):
            UserSession.objects.cleanup()
        cursor.execute(patient)
    assert UserSession.objects.count() == 20
