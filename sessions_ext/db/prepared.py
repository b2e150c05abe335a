"""Statements that run often. Django's ORM writes their SQL once, and not for each request or batch. Each
run binds new parameters."""

from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.models.expressions import Expression
from django.db.models.sql import DeleteQuery, UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

from .mariadb import deleting_by, updating_by_key

Rows = Any


class Parameter(Expression):
    """Stands in a queryset for a value that is not known yet."""

    def __init__(self, name: str, field: Any) -> None:
        super().__init__(output_field=getattr(field, "target_field", field))
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> Any:
        return "%s", [self]


class Shape(NamedTuple):
    """How to read an object from a result row: its model, and the columns that hold its fields."""

    model: Any
    names: list[str]
    columns: list[int]


class Prepared(NamedTuple):
    """The SQL of a statement, ready to run with a value for each Parameter."""

    sql: str
    params: list[Any]
    converters: dict[int, Any]
    shapes: list[Shape]
    joins: list[Any]

    def row(self, using: str, values: dict[str, Any]) -> list[Any] | None:
        """The first row of the result, converted as Django does, or None. Raises what Django raises for
        a value that does not suit its field."""
        connection = connections[using]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, _bound(self.params, values, connection))
            found = cursor.fetchone()
        if found is None:
            return None
        row = list(found)
        for position, (converters, expression) in self.converters.items():
            for convert in converters:
                row[position] = convert(row[position], expression, connection)
        return row

    def change(self, using: str, values: dict[str, Any]) -> int:
        """Run it, and return how many rows it changed or deleted."""
        connection = connections[using]
        with transaction.mark_for_rollback_on_error(using), connection.cursor() as cursor:
            cursor.execute(self.sql, _bound(self.params, values, connection))
            return int(cursor.rowcount)


class Statement:
    """A statement, written once for each variant. `build` gets a queryset and the variant's arguments.
    It returns the rows to read or to update, and the changes to them, if any. For a queryset that
    already has conditions the SQL is written anew each time: they may belong to this one call."""

    def __init__(self, build: Callable[..., tuple[Rows, dict[str, Any]]]) -> None:
        self.build = build
        self.prepared: dict[Hashable, Prepared] = {}

    def get(self, rows: Rows, *variant: Hashable, **values: Any) -> Any:
        """The object that is found, with the object joined to it, or None. Raises what Django raises
        for a value that does not suit its field."""
        using, prepared = rows.db, self._prepared(rows, variant)
        row = prepared.row(using, values)
        if row is None:
            return None
        found, *joined = (
            shape.model.from_db(using, shape.names, [row[column] for column in shape.columns])
            for shape in prepared.shapes
        )
        for each, field in zip(joined, prepared.joins, strict=True):
            field.set_cached_value(found, each)
        return found

    def update(self, rows: Rows, *variant: Hashable, **values: Any) -> int:
        """Run it, and return how many rows it changed."""
        return self._prepared(rows, variant).change(rows.db, values)

    def _prepared(self, rows: Rows, variant: tuple[Hashable, ...]) -> Prepared:
        if rows.query.where:
            return self._written(rows, variant)
        key = (rows.db, rows.model, *variant)
        if key not in self.prepared:
            self.prepared[key] = self._written(rows, variant)
        return self.prepared[key]

    def _written(self, rows: Rows, variant: tuple[Hashable, ...]) -> Prepared:
        meant, changes = self.build(rows, *variant)
        return update(meant, changes) if changes else select(meant)


def select(rows: Rows) -> Prepared:
    """The SQL of rows.values_list(…), or of loading the objects."""
    compiler = rows.query.get_compiler(rows.db)
    sql, params = compiler.as_sql()
    converters = compiler.get_converters([expression for expression, *_ in compiler.select])
    joined = (compiler.klass_info or {}).get("related_klass_infos", ())
    return Prepared(
        sql, list(params), converters, list(_shapes(compiler)), [each["field"] for each in joined]
    )


def update(rows: Rows, changes: dict[str, Any]) -> Prepared:
    """The SQL of rows.update(…)."""
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(changes)
    query.clear_ordering(force=True)
    sql, params = query.get_compiler(rows.db).as_sql()
    return Prepared(updating_by_key(rows, sql), list(params), {}, [], [])


def delete(rows: Rows, index: str) -> Prepared:
    """The SQL of rows.delete(), for rows that no receiver and no foreign key has to know about. `index` is
    the one to go by where the database has to be told."""
    query: Any = rows.query.chain(DeleteQuery)
    sql, params = query.get_compiler(rows.db).as_sql()
    return Prepared(deleting_by(index, rows, sql), list(params), {}, [], [])


def _shapes(compiler: Any) -> Iterator[Shape]:
    info = compiler.klass_info
    for each in (info, *info.get("related_klass_infos", ())) if info else ():
        columns = {compiler.select[column][0].target.attname: column for column in each["select_fields"]}
        names = [f.attname for f in each["model"]._meta.concrete_fields if f.attname in columns]
        yield Shape(each["model"], names, [columns[name] for name in names])


def _bound(params: list[Any], values: dict[str, Any], connection: Any) -> list[Any]:
    return [
        param.output_field.get_db_prep_value(values[param.name], connection)
        if isinstance(param, Parameter)
        else param
        for param in params
    ]
