"""Updates of several rows that race each other, and what they changed."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import OperationalError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql import UpdateQuery

from . import prepared
from .errors import is_about_locks
from .keys import is_one
from .locks import MAX_KEYS, in_lock_order, locked_values, locks_what_it_reads, seeing_latest
from .mariadb import PRIMARY, reading_by

TRIES = 5
T = TypeVar("T")


def update(rows: models.QuerySet[Any], **values: Any) -> int:
    """Update the rows in lock order, and return how many there were. One statement where the database can
    lock in an order, elsewhere a transaction."""
    rows = in_lock_order(rows)
    if not locks_what_it_reads(rows.db):
        return rows.update(**values)
    if is_one(rows) and not rows.query.is_empty():
        return prepared.update(rows, values).change(rows.db, {})
    return len(_update_by_key(rows, (), values))


def update_returning(rows: models.QuerySet[Any], *columns: str, **values: Any) -> list[Any]:
    """Update the rows in lock order, and return the named columns of those that changed. Of two calls that
    race, each gets exactly the rows that it changed itself. One statement where the database has UPDATE …
    RETURNING, elsewhere a transaction."""
    if rows.query.distinct_fields:
        raise TypeError("Cannot update a query after .distinct(*fields).")
    rows = in_lock_order(rows)
    connection = connections[rows.db]
    if not _returns_rows(connection):
        return _update_by_key(rows, columns, values)
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


def _returns_rows(connection: BaseDatabaseWrapper) -> bool:
    features = connection.features
    before_django_6 = features.can_return_columns_from_insert and connection.vendor != "mysql"
    return getattr(features, "can_return_rows_from_update", before_django_6)


def _update_by_key(rows: models.QuerySet[Any], columns: tuple[str, ...], values: dict[str, Any]) -> list[Any]:
    """Lock the rows in the order of their keys, then update those."""
    everything = rows.model._base_manager.using(rows.db)

    def act() -> list[Any]:
        with seeing_latest(rows.db, savepoint=False) as sees_latest:
            # A locking read sees the latest, too.
            found = locked_values(rows if sees_latest else rows.select_for_update(), *columns)
            for start in range(0, len(found), MAX_KEYS):
                keys = [key for key, *_ in found[start : start + MAX_KEYS]]
                prepared.update(everything.filter(pk__in=keys), values).change(rows.db, {})
            if found and not values.keys().isdisjoint(columns):
                keys = [key for key, *_ in found]
                these = reading_by(PRIMARY, everything.filter(pk__in=keys).select_for_update())
                found = list(these.order_by("pk").values_list("pk", *columns))
            return [returned for _, *returned in found]

    return _again(act, rows.db)


def _again(act: Callable[[], T], using: str, tries: int = TRIES) -> T:
    """Run `act`, and again where locks were in its way, unless they undid more than is ours to repeat."""
    try:
        return act()
    except OperationalError as error:
        if tries == 1 or connections[using].in_atomic_block or not is_about_locks(error):
            raise
    return _again(act, using, tries - 1)
