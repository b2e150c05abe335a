from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Func, JSONField
from django.db.models.sql.compiler import SQLCompiler


class AppendMissing(Func):
    """A JSON list with a text appended to it unless it is there already."""

    output_field = JSONField()
    arity = 2

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        (items, _), (text, params) = map(compiler.compile, self.get_source_expressions())
        item = f"to_jsonb({text}::text)"
        sql = f"CASE WHEN {items} @> {item} THEN {items} ELSE {items} || {item} END"
        return sql, [*params, *params]

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        (items, _), (text, params) = map(compiler.compile, self.get_source_expressions())
        has_it = f"{text} IN (SELECT value FROM json_each({items}))"  # noqa: S608
        sql = f"CASE WHEN {has_it} THEN {items} ELSE json_insert({items}, '$[#]', {text}) END"
        return sql, [*params, *params]
