"""What each operation on sessions costs: ours, as Django connects and with the statements that psycopg
prepares then (see docs/caching.md); an equivalent SQLAlchemy 2 + asyncpg repository, which
always prepares; and plain prepared psycopg.

    python -m tests.benchmarks.operations [--rows N] [--rounds N] [--calls N]

All work on the same table with the same rows, and take turns. Ours is called as a project calls
it, in autocommit mode, as Django is by default. The repository has an AsyncSession for each call, as
a FastAPI project has for each request: so it begins a transaction and ends it, as SQLAlchemy does by
default; its calls follow each other in one running event loop. Only psycopg makes no objects.
"""

import argparse
import asyncio
import random
import time
from contextlib import ExitStack, contextmanager
from itertools import islice
from statistics import median

from tests.benchmarks.common import (
    IP_ADDRESS,
    USER_AGENT,
    fill,
    own_database,
    print_table,
    ratio,
    take_turns,
    vacuum,
)

READS = ["count", "find", "list", "oldest", "verify"]
WRITES = ["touch", "save", "save one column", "revoke all"]
SAMPLE = 5_000


class Ours:
    """The app, on the database of this alias. Each method is the call of one operation."""

    def __init__(self, using="default"):
        from django.db import DEFAULT_DB_ALIAS
        from django.test import RequestFactory

        from sessions_ext.models import UserSession

        manager = UserSession.objects
        self.sessions = manager if using == DEFAULT_DB_ALIAS else manager.db_manager(using)
        self.request = RequestFactory(REMOTE_ADDR=IP_ADDRESS).get("/")

    def prepare(self, operation, user_id, session_id):
        """What a call of the operation needs and a request has already."""
        if operation in ("touch", "save one column"):
            return (self.sessions.verify(user_id, session_id),)
        return user_id, session_id

    def count(self, user_id, session_id):
        return self.sessions.for_user(user_id).active().count()

    def find(self, user_id, session_id):
        return self.sessions.for_user(user_id).get(pk=session_id)

    def list(self, user_id, session_id):
        return list(self.sessions.for_user(user_id).active().newest_first())

    def oldest(self, user_id, session_id):
        return self.sessions.for_user(user_id).active().oldest_first().first()

    def verify(self, user_id, session_id):
        return self.sessions.verify(user_id, session_id)

    def touch(self, session):
        from sessions_ext import activity

        return activity.record(session, self.request)

    def save(self, user_id, session_id):
        from django.utils import timezone

        from sessions_ext.conf import conf

        return self.sessions.create(
            user_id=user_id,
            device_info="Firefox on Linux",
            user_agent=USER_AGENT,
            ip_address=IP_ADDRESS,
            last_ip_address=IP_ADDRESS,
            expires_at=timezone.now() + conf.LIFETIME,
        )

    def save_one_column(self, session):
        session.is_trusted = True
        session.save(update_fields=["is_trusted"])
        return session

    def revoke_all(self, user_id, session_id):
        return self.sessions.for_user(user_id).exclude(pk=session_id).revoke("user")

    def times(self, operation, keys):
        call = getattr(self, operation.replace(" ", "_"))
        prepared = [self.prepare(operation, *key) for key in keys]
        for arguments in prepared:
            start = time.perf_counter()
            result = call(*arguments)
            yield time.perf_counter() - start, result


class SQLAlchemy:
    def __init__(self):
        from sqlalchemy import URL
        from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

        settings = connection_parameters()
        url = URL.create(
            "postgresql+asyncpg", settings["user"], settings["password"] or None, database=settings["dbname"]
        )
        address = {"host": settings["host"] or "localhost", "port": int(settings["port"] or 5432)}
        self.engine = create_async_engine(url, connect_args=address)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.loop = asyncio.new_event_loop()

    async def call(self, operation, user_id, session_id, loaded):
        from tests.benchmarks.repository import Repository, new

        async with self.sessions() as db:
            repository = Repository(db)
            match operation:
                case "count":
                    return await repository.count_active(user_id)
                case "list":
                    return await repository.list_active(user_id)
                case "oldest":
                    return await repository.oldest_active(user_id)
                case "save":
                    return await repository.save(new(user_id))
                case "save one column":
                    loaded.is_trusted = True
                    return await repository.save(loaded)
                case _:
                    return await getattr(repository, operation.replace(" ", "_"))(user_id, session_id)

    async def atimes(self, operation, keys):
        loaded = [None] * len(keys)
        if operation == "save one column":
            loaded = [await self.call("find", *key, None) for key in keys]
        timed = []
        for key, session in zip(keys, loaded, strict=True):
            start = time.perf_counter()
            result = await self.call(operation, *key, session)
            timed.append((time.perf_counter() - start, result))
        return timed

    def times(self, operation, keys):
        return self.loop.run_until_complete(self.atimes(operation, keys))

    def close(self):
        self.loop.run_until_complete(self.engine.dispose())
        self.loop.close()


class Psycopg:
    def __init__(self):
        from tests.benchmarks.repository import Prepared

        self.prepared = Prepared(**{name: value for name, value in connection_parameters().items() if value})

    def times(self, operation, keys):
        names = {
            "count": "count_active",
            "list": "list_active",
            "oldest": "oldest_active",
            "save": "save_new",
        }
        call = getattr(self.prepared, names.get(operation, operation.replace(" ", "_")))
        takes_user_alone = operation in names
        for key in keys:
            start = time.perf_counter()
            result = call(key[0]) if takes_user_alone else call(*key)
            yield time.perf_counter() - start, result

    def close(self):
        self.prepared.connection.close()


@contextmanager
def prepared_alias():
    """The alias of a connection to the same database whose statements psycopg prepares."""
    from django.db import connection, connections

    options = connection.settings_dict["OPTIONS"] | {"server_side_binding": True, "prepare_threshold": 2}
    connections.databases["prepared"] = connection.settings_dict | {"OPTIONS": options}
    try:
        yield "prepared"
    finally:
        connections["prepared"].close()
        del connections["prepared"], connections.databases["prepared"]


def connection_parameters():
    from django.db import connection

    settings = connection.settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    parameters = {name: settings[key] for name, key in names.items()}
    return parameters | {"host": settings["OPTIONS"].get("host", parameters["host"])}


class Keys:
    """Whom to ask about: (user id, id of one of the active sessions). Those whom a write changed
    are not asked about again."""

    def __init__(self, using="default"):
        from sessions_ext.models import UserSession

        rng = random.Random(7)
        rows = UserSession.objects.using(using)
        last = rows.order_by("-user_id").values_list("user_id", flat=True)[0]
        users = rng.sample(range(1, last + 1), min(last, 3 * SAMPLE))
        third = len(users) // 3
        self.read, revoke, write = (self.active(rows, users[n * third : (n + 1) * third]) for n in range(3))
        one_each = list(dict(revoke).items())
        self.unused = {
            operation: iter(rng.sample(keys, len(keys)))
            for operation, keys in (
                ("revoke all", one_each),
                ("touch", write[::3]),
                ("save", write[1::3]),
                ("save one column", write[2::3]),
            )
        }
        self.rng = rng

    @staticmethod
    def active(rows, users):
        return list(rows.active().filter(user_id__in=users).values_list("user_id", "pk"))

    def take(self, operation, number):
        if operation in READS:
            return self.rng.choices(self.read, k=number)
        keys = list(islice(self.unused[operation], number))
        if len(keys) < number:
            raise SystemExit(f"{operation}: every call needs a row of its own; take more rows or fewer calls")
        return keys


def measure(side, operation, keys):
    """The median of the calls, in microseconds."""
    times, results = zip(*side.times(operation, keys), strict=True)
    if not all(results):
        raise SystemExit(f"{type(side).__name__}: {operation} found nothing")
    return 1e6 * median(times)


def compare(rows, rounds, calls):
    """[operation, microseconds and ratios] of each operation."""
    from django.db import connection

    fill(rows)
    vacuum()
    keys = Keys()
    with ExitStack() as stack:
        stack.callback(connection.close)
        sides = [Ours(), Ours(stack.enter_context(prepared_alias())), SQLAlchemy(), Psycopg()]
        for side in sides[2:]:
            stack.callback(side.close)
        for operation in READS + WRITES:
            results = take_turns(
                range(4), rounds, lambda n, op=operation: measure(sides[n], op, keys.take(op, calls))
            )
            *ours, theirs, plain = results.values()
            yield [
                operation,
                *(f"{median(times):,.0f}" for times in results.values()),
                *(f"{ratio(side, theirs):.2f}" for side in ours),
                *(f"{ratio(side, plain):.2f}" for side in ours),
            ]


HEAD = ["operation, µs", "ours", "prepared", "SQLAlchemy", "psycopg"]
HEAD += ["ours / SQLAlchemy", "prepared / SQLAlchemy", "ours / psycopg", "prepared / psycopg"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=12, help="of one side in one round")
    options = parser.parse_args()
    with own_database() as versions:
        print(
            f"{versions}\n{options.rows:,} rows; "
            f"medians of {options.rounds} rounds of {options.calls} calls\n"
        )
        print_table(HEAD, compare(options.rows, options.rounds, options.calls))


if __name__ == "__main__":
    main()
