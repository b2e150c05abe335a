"""Many batches of a cleanup in one call: on PostgreSQL the server itself goes from one to the next,
and commits each. Between the statements of a batch it would otherwise wait for us a quarter of the time."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import DatabaseError, connections
from django.db.models.expressions import RawSQL

from .db.locks import BRIEFLY, has_own_transactions
from .db.prepared import Prepared

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_INTEGER = 2**31 - 1  # of a FOR
NOTE = "sessions_ext.batch"
LOW, HIGH = RawSQL("low", ()), RawSQL("high", ())  # the variables of LOOP
LOOP = """
DECLARE
    low timestamptz := {low};
    high timestamptz;
    deleted bigint;
    deadline timestamptz := clock_timestamp() + interval '{seconds:f} seconds';
BEGIN
    FOR batch IN 1..{most} LOOP
        PERFORM {briefly};
        high := ({mark});
        EXIT WHEN high IS NULL OR high = low;
        {delete};
        GET DIAGNOSTICS deleted = ROW_COUNT;
        RAISE INFO '{note} % % %',
            deleted, (extract(epoch FROM high) * 1000000)::bigint, pg_current_xact_id();
        COMMIT;
        low := high;
        EXIT WHEN clock_timestamp() >= deadline;
    END LOOP;
END
"""


class Batch(NamedTuple):
    """How many rows it deleted, where it ended, and in which transaction of the server."""

    deleted: int
    high: datetime
    transaction: int


def can_loop(using: str) -> bool:
    """Whether the database can commit the batches itself: it is PostgreSQL, by psycopg 3, and no
    transaction is open."""
    connection: Any = connections[using]
    return has_own_transactions(connection) and hasattr(connection.connection, "add_notice_handler")


def delete_batches(
    using: str, mark: Prepared, delete: Prepared, low: datetime | None, most: int, seconds: float
) -> tuple[list[Batch], DatabaseError | None]:
    """Delete from `low` up to the mark, from there to the next one, and so on, `most` times at most and
    for so many seconds. It stops where there is no mark, at a mark that is the last one still, and at an
    error, with all of that batch undone. Returns the batches that are committed, and the error."""
    connection: Any = connections[using]
    loop = LOOP.format(
        low=_composed(connection, "%s", [low]) if low else "'-infinity'",
        mark=_composed(connection, mark.sql, mark.params),
        delete=_composed(connection, delete.sql, delete.params),
        seconds=seconds,
        most=min(most, MAX_INTEGER),
        briefly=BRIEFLY,
        note=NOTE,
    )
    done: list[Batch] = []

    def receive(message: Any) -> None:
        name, *numbers = (message.message_primary or "").split(" ")
        if name == NOTE:
            deleted, microseconds, transaction = map(int, numbers)
            done.append(Batch(deleted, EPOCH + timedelta(microseconds=microseconds), transaction))

    # A notice gets through where a result cannot: a DO has none, and after an error none would come.
    with connection.cursor() as cursor:
        driver = connection.connection
        driver.add_notice_handler(receive)
        try:
            cursor.execute(_composed(connection, "DO %s", [loop]))
        except DatabaseError as error:
            if done and not _is_committed(connection, done[-1]):
                done.pop()
            return done, error
        finally:
            driver.remove_notice_handler(receive)
    return done, None


def _composed(connection: Any, sql: str, params: list[Any]) -> str:
    return str(connection.ops.compose_sql(sql, params))


def _is_committed(connection: Any, batch: Batch) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_xact_status(%s::text::xid8)", [str(batch.transaction)])
            return bool(cursor.fetchone()[0] == "committed")
    except DatabaseError:  # the connection is lost
        return False


def is_cancelled(using: str, error: DatabaseError) -> bool:
    """Whether somebody asked the server to stop, rather than that a time ran out."""
    if getattr(error.__cause__, "sqlstate", None) != "57014":
        return False
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        return bool(cursor.fetchone()[0] == "0")
