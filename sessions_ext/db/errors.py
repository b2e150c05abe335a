"""What an error of the database says."""

from django.db import Error


def sqlstate(error: Error) -> str | None:
    """The five characters by which PostgreSQL names an error, with psycopg 3 and psycopg 2 alike;
    None where the database has no such names."""
    cause = error.__cause__
    state: str | None = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return state
