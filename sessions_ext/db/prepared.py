"""Statements that run often. Django's ORM writes their SQL once, and not for each request or batch. Each
run binds new parameters."""

from collections.abc import Callable, Hashable, Sequence
from datetime import UTC
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connections, transaction
from django.db.models import BooleanField
from django.db.models.expressions import Expression, RawSQL
from django.db.models.sql import DeleteQuery, UpdateQuery
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.where import WhereNode

from .mariadb import deleting_by, updating_by_key

TIMESTAMPTZ, TEXT = 1184, 0  # PostgreSQL's numbers of the type and of the format
DJANGOS = "django.db.backends.postgresql.psycopg_any"  # the module of its loader
NEVER: Any = RawSQL("0 = 1", (), BooleanField())
Rows = Any


class Parameter(Expression):
    """Stands in a queryset for a value that is not known yet."""

    def __init__(self, name: str, field: Any) -> None:
        super().__init__(output_field=getattr(field, "target_field", field))
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> Any:
        return "%s", [self]


class Shape(NamedTuple):
    """How to read an object from a result row: its model, the columns that hold its fields, how to convert
    them, by their position there, and the objects that are joined to it."""

    model: Any
    names: list[str]
    columns: list[int]
    converters: dict[int, Any]
    joined: list[tuple[Any, "Shape"]]

    def read(self, using: str, row: Sequence[Any]) -> Any:
        """The object, or None if there is none: all of its columns are NULL."""
        values = [row[column] for column in self.columns]
        if all(value is None for value in values):
            return None
        found = self.model.from_db(using, self.names, _converted(values, self.converters, using))
        for field, shape in self.joined:
            field.set_cached_value(found, shape.read(using, row))
        return found


class Prepared(NamedTuple):
    """The SQL of a statement, ready to run with a value for each Parameter."""

    sql: str
    params: list[Any]
    converters: dict[int, Any]
    shapes: list[Shape]

    def rows(self, using: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of the result, converted as Django does. Raises what Django raises for a value that does
        not suit its field."""
        connection = connections[using]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, _bound(self.params, values, connection))
            return self._all(cursor, using)

    def found(self, using: str, values: dict[str, Any]) -> Any:
        """The first row of the result as it comes, or None."""
        connection = connections[using]
        with connection.cursor() as cursor:
            _read_times_in_c(cursor, connection)
            cursor.execute(self.sql, _bound(self.params, values, connection))
            return cursor.fetchone()

    def change(self, using: str, values: dict[str, Any]) -> int:
        """Run it, and return how many rows it changed or deleted."""
        connection = connections[using]
        with transaction.mark_for_rollback_on_error(using), connection.cursor() as cursor:
            cursor.execute(self.sql, _bound(self.params, values, connection))
            return int(cursor.rowcount)

    def change_and_rows(self, using: str, values: dict[str, Any]) -> tuple[int, list[tuple[Any, ...]]]:
        """What change() and rows() return, for both() in one."""
        connection = connections[using]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, _bound(self.params, values, connection))
            changed = int(cursor.rowcount)
            cursor.nextset()
            return changed, self._all(cursor, using)

    def _all(self, cursor: Any, using: str) -> list[tuple[Any, ...]]:
        return [tuple(_converted(list(row), self.converters, using)) for row in cursor.fetchall()]


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
        row = prepared.found(using, values)
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
        for compiler in compilers:
            compiler.pre_sql_setup()
        # What is joined comes after the row: without statistics, PostgreSQL went from a user to all its rows.
        joins = compilers[1].query.alias_map
        joins.update({alias: join.promote() for alias, join in joins.items() if join.join_type})
        (columns, tables, where), (columns_2, tables_2, on) = map(_parts, compilers)
        # Django joins along foreign keys alone. With subqueries, PostgreSQL plans for longer than it saves.
        joined = f"{tables.sql} LEFT JOIN ({tables_2.sql}) ON {on.sql}"
        sql = " ".join(("SELECT", f"{columns.sql}, {columns_2.sql}", "FROM", joined, "WHERE", where.sql))
        params = [
            param for part in (columns, columns_2, tables, tables_2, on, where) for param in part.params
        ]
        return _reading(sql, params, *compilers)


def select(rows: Rows) -> Prepared:
    """The SQL of rows.values_list(…), or of loading the objects."""
    compiler = rows.query.get_compiler(rows.db, elide_empty=False)
    return _reading(*compiler.as_sql(), compiler)


def update(rows: Rows, changes: dict[str, Any]) -> Prepared:
    """The SQL of rows.update(…)."""
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(changes)
    query.clear_ordering(force=True)
    sql, params = _changing(query, rows.db)
    return Prepared(updating_by_key(rows, sql), list(params), {}, [])


def delete(rows: Rows, index: str) -> Prepared:
    """The SQL of rows.delete(), for rows that no receiver and no foreign key has to know about. `index` is
    the one to go by where the database has to be told."""
    query: Any = rows.query.chain(DeleteQuery)
    sql, params = _changing(query, rows.db)
    return Prepared(deleting_by(index, rows, sql), list(params), {}, [])


def _changing(query: Any, using: str) -> Any:
    """SQL and parameters. Where no row can meet the conditions, as after none(), Django writes no SQL."""
    try:
        return query.get_compiler(using).as_sql()
    except EmptyResultSet:
        query.where = WhereNode([NEVER])
        return query.get_compiler(using).as_sql()


def both(changing: Prepared, reading: Prepared) -> Prepared:
    """Two statements in one message, see locks.sends_several()."""
    sql = f"{changing.sql}; {reading.sql}"
    return Prepared(sql, changing.params + reading.params, reading.converters, [])


class Part(NamedTuple):
    sql: str
    params: list[Any]


def _parts(compiler: Any) -> tuple[Part, Part, Part]:
    """The columns, the tables and the conditions of a query that has no more than these, and is set up."""
    columns = [Part(*column) for _, column, _ in compiler.select]
    tables, params = compiler.get_from_clause()
    return (
        Part(", ".join(each.sql for each in columns), [param for each in columns for param in each.params]),
        Part(" ".join(tables), params),
        Part(*compiler.compile(compiler.where)),
    )


def _reading(sql: str, params: Any, *compilers: Any) -> Prepared:
    """A statement that reads the columns of these queries, one after the other."""
    columns = [expression for compiler in compilers for expression, *_ in compiler.select]
    converters = compilers[0].get_converters(columns)
    shapes, before = [], 0
    for compiler in compilers:
        shapes.append(_shape(compiler, compiler.klass_info, converters, before))
        before += len(compiler.select)
    return Prepared(sql, list(params), converters, shapes)


def _shape(compiler: Any, info: dict[str, Any], converters: dict[int, Any], before: int) -> Shape:
    """`before`: so many columns stand before those of the query."""
    places = {compiler.select[column][0].target.attname: before + column for column in info["select_fields"]}
    names = [f.attname for f in info["model"]._meta.concrete_fields if f.attname in places]
    columns = [places[name] for name in names]
    own = {at: converters[column] for at, column in enumerate(columns) if column in converters}
    related = info.get("related_klass_infos", ())
    joined = [(each["field"], _shape(compiler, each, converters, before)) for each in related]
    return Shape(info["model"], names, columns, own, joined)


def _converted(values: list[Any], converters: dict[int, Any], using: str) -> list[Any]:
    for position, (converts, expression) in converters.items():
        for convert in converts:
            values[position] = convert(values[position], expression, connections[using])
    return values


def _bound(params: list[Any], values: dict[str, Any], connection: Any) -> list[Any]:
    return [
        param.output_field.get_db_prep_value(values[param.name], connection)
        if isinstance(param, Parameter)
        else param
        for param in params
    ]


def _read_times_in_c(cursor: Any, connection: Any) -> None:
    """Let psycopg 3 read the times of this cursor's result. Django's loader does the same for UTC, but in
    Python, and takes ten times as long. A loader of the project's own stays."""
    adapters = getattr(cursor, "adapters", None)
    if adapters is None or connection.timezone is not UTC:
        return
    own = connection.Database.adapters.get_loader(TIMESTAMPTZ, TEXT)
    if own.__module__.startswith("psycopg") and adapters.get_loader(TIMESTAMPTZ, TEXT).__module__ == DJANGOS:
        adapters.register_loader(TIMESTAMPTZ, own)
