"""The statements of the hot path. Django's ORM writes their SQL once for each database, instead
of for each request, and they run with new parameters."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from django.db import connections
from django.db.models.expressions import Expression
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

Rows = Any


class Parameter(Expression):
    """Stands in a queryset for a value that is not known yet."""

    def __init__(self, name: str, field: Any) -> None:
        super().__init__(output_field=getattr(field, "target_field", field))
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> Any:
        return "%s", [self]


class Shape(NamedTuple):
    """An object in a row of the result: its model and which columns its fields are in."""

    model: Any
    names: list[str]
    columns: list[int]


class Prepared(NamedTuple):
    sql: str
    params: list[Any]
    converters: dict[int, Any]
    shapes: list[Shape]


class Statement:
    """One statement, in as many variants as `build` is called with other arguments."""

    def __init__(self, build: Callable[..., tuple[Rows, dict[str, Any]]]) -> None:
        self.build = build
        self.prepared: dict[Hashable, Prepared] = {}

    def get(self, using: str, *variant: Hashable, **values: Any) -> Any:
        """The one object that is found, with the object joined to it; or None. Raises what
        Django raises for a value that its field does not take."""
        prepared = self._prepared(using, variant)
        connection = connections[using]
        with connection.cursor() as cursor:
            cursor.execute(prepared.sql, _bound(prepared.params, values, connection))
            row = cursor.fetchone()
        if row is None:
            return None
        row = list(row)
        for position, (converters, expression) in prepared.converters.items():
            for convert in converters:
                row[position] = convert(row[position], expression, connection)
        found, *joined = (
            shape.model.from_db(using, shape.names, [row[column] for column in shape.columns])
            for shape in prepared.shapes
        )
        for each in joined:
            found._meta.get_field("user").set_cached_value(found, each)
        return found

    def update(self, using: str, *variant: Hashable, **values: Any) -> int:
        """How many rows it changed."""
        prepared = self._prepared(using, variant)
        connection = connections[using]
        with connection.cursor() as cursor:
            cursor.execute(prepared.sql, _bound(prepared.params, values, connection))
            return int(cursor.rowcount)

    def _prepared(self, using: str, variant: tuple[Hashable, ...]) -> Prepared:
        key = (using, *variant)
        if key not in self.prepared:
            rows, changes = self.build(using, *variant)
            self.prepared[key] = _update(rows, changes) if changes else _select(rows)
        return self.prepared[key]


def _select(rows: Rows) -> Prepared:
    compiler = rows.query.get_compiler(rows.db)
    sql, params = compiler.as_sql()
    select: Any = compiler.select
    info: Any = compiler.klass_info
    shapes = []
    for each in (info, *info.get("related_klass_infos", ())):
        columns = {select[column][0].target.attname: column for column in each["select_fields"]}
        names = [f.attname for f in each["model"]._meta.concrete_fields if f.attname in columns]
        shapes.append(Shape(each["model"], names, [columns[name] for name in names]))
    converters = compiler.get_converters([expression for expression, *_ in select])
    return Prepared(sql, list(params), converters, shapes)


def _update(rows: Rows, changes: dict[str, Any]) -> Prepared:
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(changes)
    sql, params = query.get_compiler(rows.db).as_sql()
    return Prepared(sql, list(params), {}, [])


def _bound(params: list[Any], values: dict[str, Any], connection: Any) -> list[Any]:
    return [
        param.output_field.get_db_prep_value(values[param.name], connection)
        if isinstance(param, Parameter)
        else param
        for param in params
    ]
