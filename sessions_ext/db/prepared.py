"""Statements that run often. Django's ORM writes their SQL once, and not for each request or batch. Each
run binds new parameters."""

from collections.abc import Callable, Hashable
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
    """How to read an object from a result row: its model, the columns that hold its fields, and the
    objects that are joined to it."""

    model: Any
    names: list[str]
    columns: list[int]
    joined: list[tuple[Any, "Shape"]]

    def read(self, using: str, row: list[Any]) -> Any:
        """The object, or None if there is none: all of its columns are NULL."""
        values = [row[column] for column in self.columns]
        if all(value is None for value in values):
            return None
        found = self.model.from_db(using, self.names, values)
        for field, shape in self.joined:
            field.set_cached_value(found, shape.read(using, row))
        return found


class Prepared(NamedTuple):
    """The SQL of a statement, ready to run with a value for each Parameter."""

    sql: str
    params: list[Any]
    converters: dict[int, Any]
    shapes: list[Shape]

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

    def __init__(self, build: Callable[..., tuple[Rows, Any]]) -> None:
        self.build = build
        self.prepared: dict[Hashable, Prepared] = {}

    def get(self, rows: Rows, *variant: Hashable, **values: Any) -> Any:
        """The object that is found, with the object joined to it, or None. Raises what Django raises
        for a value that does not suit its field."""
        return self.get_each(rows, *variant, **values)[0]

    def get_each(self, rows: Rows, *variant: Hashable, **values: Any) -> list[Any]:
        """What each of a Pair finds, as by get(). None at all if the first of them finds nothing."""
        using, prepared = rows.db, self._prepared(rows, variant)
        row = prepared.row(using, values)
        return [row and shape.read(using, row) for shape in prepared.shapes]

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


class Pair(Statement):
    """Two statements that read, in one. `build` returns the rows of each."""

    def _written(self, rows: Rows, variant: tuple[Hashable, ...]) -> Prepared:
        compilers = [each.query.get_compiler(each.db) for each in self.build(rows, *variant)]
        (columns, tables, where, params), (columns_2, tables_2, where_2, params_2) = map(_parts, compilers)
        # Django joins along foreign keys alone. With subqueries, PostgreSQL plans for longer than it saves.
        joined = f"{tables} LEFT JOIN ({tables_2}) ON {where_2}"
        sql = " ".join(("SELECT", f"{columns}, {columns_2}", "FROM", joined, "WHERE", where))
        return _reading(sql, [*params_2, *params], *compilers)


def select(rows: Rows) -> Prepared:
    """The SQL of rows.values_list(…), or of loading the objects."""
    compiler = rows.query.get_compiler(rows.db)
    return _reading(*compiler.as_sql(), compiler)


def update(rows: Rows, changes: dict[str, Any]) -> Prepared:
    """The SQL of rows.update(…)."""
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(changes)
    query.clear_ordering(force=True)
    sql, params = query.get_compiler(rows.db).as_sql()
    return Prepared(updating_by_key(rows, sql), list(params), {}, [])


def delete(rows: Rows, index: str) -> Prepared:
    """The SQL of rows.delete(), for rows that no receiver and no foreign key has to know about. `index` is
    the one to go by where the database has to be told."""
    query: Any = rows.query.chain(DeleteQuery)
    sql, params = query.get_compiler(rows.db).as_sql()
    return Prepared(deleting_by(index, rows, sql), list(params), {}, [])


def _parts(compiler: Any) -> tuple[str, str, str, list[Any]]:
    """The columns, tables and conditions of a query that has no more than these, and the parameters."""
    compiler.pre_sql_setup()
    columns = [sql for _, (sql, _), _ in compiler.select]
    tables, _ = compiler.get_from_clause()
    where, params = compiler.compile(compiler.where)
    return ", ".join(columns), " ".join(tables), where, params


def _reading(sql: str, params: Any, *compilers: Any) -> Prepared:
    """A statement that reads the columns of these queries, one after the other."""
    columns: list[Any] = []
    shapes = []
    for compiler in compilers:
        if compiler.klass_info:
            shapes.append(_shape(compiler, compiler.klass_info, len(columns)))
        columns += [expression for expression, *_ in compiler.select]
    return Prepared(sql, list(params), compiler.get_converters(columns), shapes)


def _shape(compiler: Any, info: dict[str, Any], before: int) -> Shape:
    """`before`: so many columns stand before those of the query."""
    columns = {compiler.select[column][0].target.attname: before + column for column in info["select_fields"]}
    names = [f.attname for f in info["model"]._meta.concrete_fields if f.attname in columns]
    joined = [(each["field"], _shape(compiler, each, before)) for each in info.get("related_klass_infos", ())]
    return Shape(info["model"], names, [columns[name] for name in names], joined)


def _bound(params: list[Any], values: dict[str, Any], connection: Any) -> list[Any]:
    return [
        param.output_field.get_db_prep_value(values[param.name], connection)
        if isinstance(param, Parameter)
        else param
        for param in params
    ]
