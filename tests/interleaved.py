"""What another request does in the middle of a call, at the same place in each run: a race decides by chance
what is tested."""

from contextlib import contextmanager

from django.db import connection


@contextmanager
def once_read(model, act):
    """Call `act` after the first SELECT from the model's table, before what was found is used."""
    waiting = [act]

    def cut_in(execute, sql, *arguments):
        result = execute(sql, *arguments)
        if waiting and sql.startswith("SELECT") and f"FROM {table}" in sql:
            waiting.pop()()
        return result

    table = connection.ops.quote_name(model._meta.db_table)
    with connection.execute_wrapper(cut_in):
        yield
    assert not waiting
