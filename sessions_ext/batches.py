"""Many batches of a cleanup in one call: on PostgreSQL the server itself goes from one to the next,
and commits each. Between the statements of a batch it would otherwise wait for us a quarter of the time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError, connections
from django.db.models.expressions import RawSQL

from .sql import BRIEFLY, GIVE_WAY
from .statements import Prepared

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
        COMMIT;
        RAISE INFO '{note} % %', deleted, (extract(epoch FROM high) * 1000000)::bigint;
        low := high;
        EXIT WHEN clock_timestamp() >= deadline;
    END LOOP;
END
"""


def can_loop(using: str) -> bool:
    """Whether the database can commit the batches itself: it is PostgreSQL, by psycopg 3, and no
    transaction is open."""
    connection: Any = connections[using]
    is_free = connection.vendor == "postgresql" and connection.get_autocommit()
    return is_free and hasattr(connection.connection, "add_notice_handler")


def delete_batches(
    using: str, mark: Prepared, delete: Prepared, low: datetime | None, most: int, seconds: float
) -> tuple[list[tuple[int, datetime]], bool]:
    """Delete from `low` up to the mark, from there to the next one, and so on, `most` times and for
    so many seconds. Returns how many rows each batch were and where it ended, and whether the server
    refused the loop itself. It stops where there is no mark, at a mark that is the last one still,
    and, without that batch, at a lock or any other error: whoever deletes that batch will meet it."""
    connection: Any = connections[using]
    loop = LOOP.format(
        low=_composed(connection, "%s", [low]) if low else "'-infinity'",
        mark=_composed(connection, mark.sql, mark.params),
        delete=_composed(connection, delete.sql, delete.params),
        seconds=seconds,
        most=most,
        briefly=BRIEFLY,
        note=NOTE,
    )
    done = []

    def receive(message: Any) -> None:
        name, *numbers = (message.message_primary or "").split(" ")
        if name == NOTE:
            deleted, microseconds = map(int, numbers)
            done.append((deleted, EPOCH + timedelta(microseconds=microseconds)))

    # A notice gets through where a result cannot: a DO has none, and after an error none would come.
    driver = connection.connection
    driver.add_notice_handler(receive)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_composed(connection, "DO %s", [loop]))
    except DatabaseError as error:
        return done, getattr(error.__cause__, "sqlstate", None) not in GIVE_WAY
    finally:
        driver.remove_notice_handler(receive)
    return done, False


def _composed(connection: Any, sql: str, params: list[Any]) -> str:
    return str(connection.ops.compose_sql(sql, params))
