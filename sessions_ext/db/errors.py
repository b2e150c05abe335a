"""What an error of the database says."""

from django.core.exceptions import ValidationError
from django.db import DataError, Error

# What a value raises that does not suit its field, on the way there or back.
UNSUITABLE = (ValidationError, ValueError, TypeError, OverflowError, DataError)
# A lock is not available, a deadlock, and a row that changed under repeatable read: PostgreSQL's SQLSTATEs,
# and the numbers of MariaDB and MySQL.
SQLSTATES = {"55P03", "40P01", "40001"}
NUMBERS = {1205, 3572, 1213, 1020}


def sqlstate(error: Error) -> str | None:
    """The five characters by which PostgreSQL names an error, with psycopg 3 and psycopg 2 alike;
    None where the database has no such names."""
    cause = error.__cause__
    state: str | None = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return state


def is_about_locks(error: Error) -> bool:
    """Whether other transactions were in the way, so that the same may succeed a moment later."""
    return sqlstate(error) in SQLSTATES or (bool(error.args) and error.args[0] in NUMBERS)
