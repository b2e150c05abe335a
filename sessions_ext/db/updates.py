"""UPDATE … RETURNING."""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections, models, transaction
from django.db.models.sql import UpdateQuery


def update_returning(rows: models.QuerySet[Any], *columns: str, **values: Any) -> list[Any]:
    """Update the rows and return the named columns of those that changed, in one statement. Of two
    calls that race, each gets exactly the rows that it changed itself."""
    if rows.query.distinct_fields:
        raise TypeError("Cannot update a query after .distinct(*fields).")
    rows._for_write = True  # type: ignore[attr-defined]
    connection = connections[rows.db]
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(values)
    query.clear_ordering(force=True)
    compiler = query.get_compiler(rows.db)
    fields: list[Any] = [rows.model._meta.get_field(name) for name in columns]
    names = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    with transaction.mark_for_rollback_on_error(using=rows.db):
        try:
            sql, params = compiler.as_sql()
        except EmptyResultSet:
            return []
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} RETURNING {names}", params)
            returned = cursor.fetchall()
    converters = compiler.get_converters([field.get_col(rows.model._meta.db_table) for field in fields])
    return list(compiler.apply_converters(returned, converters))
