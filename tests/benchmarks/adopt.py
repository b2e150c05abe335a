"""Adopts the sessions of django-user-sessions beside live traffic, and says how long that had to wait.

    python -m tests.benchmarks.adopt [--rows 100000 ...] [--kills N] [--per-second 100]

On a PostgreSQL of its own (or DATABASE_URL's, where it makes and drops a database of its own), without
fsync. Each user has five sessions in the package's table. The command runs in a process of its own, is killed
so many times at random moments, and runs again until it has finished; then each session is looked for. A
thread each saves sessions in the older table, as the older release does, logs people in by
UserSession.objects.start(), and touches rows, adopted ones too: 100 times a second, or less where it must
wait. What they wait while nobody adopts is the last line of a size: that is the machine. Another thread asks
PostgreSQL 200 times a second who waits for a lock, and for how long by then.
"""

import argparse
import gc
import os
import random
import subprocess
import sys
import threading
import time
from datetime import timedelta
from functools import partial

from tests import databases
from tests.benchmarks.cleanup import spread, waits_of
from tests.benchmarks.common import IP_ADDRESS, USER_AGENT, own_database

SIZES = [100_000]
SESSIONS_A_USER = 5
SETTINGS = "tests.company.coming_from.settings"
COMMAND = ["-m", "django", "adopt_sessions", "--from", "user_sessions", "--skip-checks", "-v0"]


def fill(rows):
    """Empty tables, then so many sessions of the package; returns their keys, shuffled."""
    from django.contrib import auth
    from django.contrib.auth import get_user_model
    from django.contrib.sessions.backends.base import VALID_KEY_CHARS
    from django.db import connection
    from django.utils import timezone
    from django.utils.crypto import get_random_string
    from user_sessions.backends.db import SessionStore

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE auth_user, user_sessions_session, django_session CASCADE")
        cursor.execute(
            "INSERT INTO auth_user (username, password, first_name, last_name, email,"
            " is_superuser, is_staff, is_active, date_joined)"
            " SELECT 'user' || n, 'md5$salt$' || md5(n::text), '', '', '', false, false, true, now()"
            " FROM generate_series(1, %s) AS n",
            [rows // SESSIONS_A_USER],
        )
        keys, now, users = [], timezone.now(), list(get_user_model().objects.all())
        copy = "COPY user_sessions_session (session_key, session_data, expire_date, user_agent,"
        with cursor.copy(f"{copy} last_activity, ip, user_id) FROM STDIN") as to:
            for user in users:
                data = {
                    auth.SESSION_KEY: str(user.pk),
                    auth.BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
                    auth.HASH_SESSION_KEY: user.get_session_auth_hash(),
                }
                encoded = SessionStore().encode(data)
                for number in range(SESSIONS_A_USER):
                    key = get_random_string(32, VALID_KEY_CHARS)
                    seen = now - timedelta(hours=number)
                    to.write_row(
                        [key, encoded, seen + timedelta(days=14), USER_AGENT, seen, IP_ADDRESS, user.pk]
                    )
                    keys.append(key)
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    random.shuffle(keys)
    return keys


def traffic(keys):
    """What goes on beside: each a function of no arguments."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone
    from user_sessions.backends.db import SessionStore

    from sessions_ext.adoption import id_of_key
    from sessions_ext.models import UserSession

    ids = [id_of_key(key) for key in keys[:20_000]]
    users = list(get_user_model().objects.order_by("?")[:2000])

    def save():
        store = SessionStore(random.choice(keys), USER_AGENT, IP_ADDRESS)
        store["seen"] = time.time()
        store.save()

    def log_in():
        UserSession.objects.start(random.choice(users))

    def touch():
        UserSession._base_manager.filter(pk=random.choice(ids)).update(last_activity_at=timezone.now())

    return [save, log_in, touch]


def lock_wait():
    """For how long, in ms, somebody has been waiting for a lock by now; 0 if nobody is."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT max(clock_timestamp() - waitstart) FROM pg_locks WHERE NOT granted")
        (longest,) = cursor.fetchone()
    return longest.total_seconds() * 1000 if longest else 0


def adopt(kills):
    """The seconds that all runs of the command took."""
    from django.db import connection

    environment = os.environ | {"DATABASE_URL": databases.url_of(connection)}
    began = time.perf_counter()
    for kill in [True] * kills + [False]:
        with subprocess.Popen([sys.executable, *COMMAND], env=environment) as run:
            if kill:
                time.sleep(random.uniform(3, 8))
                run.kill()
        if not kill and run.returncode:
            raise SystemExit(f"the command exited with {run.returncode}")
    return time.perf_counter() - began


def beside(traffic, per_second, act):
    """What act() returns, and the waits of the traffic and for locks meanwhile, in ms."""
    stop, waits, locks = threading.Event(), [[] for _ in traffic], []
    gc.collect()
    gc.disable()
    threads = [
        threading.Thread(target=waits_of, args=[each, per_second, stop, times], daemon=True)
        for each, times in zip(traffic, waits, strict=True)
    ]
    watch = partial(waits_of, lambda: locks.append(lock_wait()), 200, stop, [])
    threads.append(threading.Thread(target=watch, daemon=True))
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    for times in (*waits, locks):
        times.clear()
    result = act()
    stop.set()
    for thread in threads:
        thread.join(60)
    gc.enable()
    return result, [sorted(times) for times in (*waits, locks)]


def check(keys):
    """Each session has its row and its data, once, and the data name the row."""
    from django.contrib.sessions.models import Session

    from sessions_ext.adoption import id_of_key
    from sessions_ext.limits import FIRST_OWN_ID
    from sessions_ext.models import UserSession
    from sessions_ext.store import ID_KEY

    adopted = set(UserSession.objects.active().filter(pk__lt=FIRST_OWN_ID).values_list("pk", flat=True))
    if adopted != set(map(id_of_key, keys)) or Session.objects.count() != len(keys):
        raise SystemExit("not every session was adopted, or one twice")
    for key in random.sample(keys, 500):
        if Session.objects.get(pk=key).get_decoded()[ID_KEY] != str(id_of_key(key)):
            raise SystemExit("the data of a session do not name its row")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--per-second", type=int, default=100, help="acts of each kind")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    with own_database() as versions:
        print(f"{versions}\nwaits in ms: number, 99.9th percentile, slowest\n", flush=True)
        heads = ("saves", "logins", "touches", "lock waits")
        print(f"{'rows':>10}  {'':<8} {'rows/s':>8}  {'  '.join(f'{head:>24}' for head in heads)}")
        for rows in options.rows:
            keys = fill(rows)
            acts = traffic(keys)
            seconds, waits = beside(acts, options.per_second, lambda: adopt(options.kills))
            check(keys)
            print(
                f"{rows:>10,}  {'adopting':<8} {rows / seconds:>8,.0f}  {'  '.join(map(spread, waits))}",
                flush=True,
            )
            _, waits = beside(acts, options.per_second, lambda: time.sleep(20))
            print(f"{rows:>10,}  {'nothing':<8} {'':>8}  {'  '.join(map(spread, waits))}", flush=True)


if __name__ == "__main__":
    main()
