"""Expressions that differ from one database to the next."""

import json
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLCompiler


class AppendMissing(models.Func):
    """A JSON list with a text, given as a Value, appended to it unless it is there already."""

    output_field = models.JSONField()
    arity = 2

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        (items, _), (text, (value,)) = map(compiler.compile, self.get_source_expressions())
        # No to_jsonb(): it is not IMMUTABLE, and Citus takes no other function within CASE.
        item = f"{text}::jsonb"
        sql = f"CASE WHEN {items} @> {item} THEN {items} ELSE {items} || {item} END"
        return sql, [json.dumps(value)] * 2

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        (items, _), (text, params) = map(compiler.compile, self.get_source_expressions())
        has_it = f"{text} IN (SELECT value FROM json_each({items}))"  # noqa: S608
        sql = f"CASE WHEN {has_it} THEN {items} ELSE json_insert({items}, '$[#]', {text}) END"
        return sql, [*params, *params]

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        (items, _), (text, params) = map(compiler.compile, self.get_source_expressions())
        has_it = f"JSON_CONTAINS({items}, JSON_QUOTE({text}))"
        sql = f"CASE WHEN {has_it} THEN {items} ELSE JSON_ARRAY_APPEND({items}, '$', {text}) END"
        return sql, [*params, *params]


class Earlier(models.ExpressionWrapper):  # type: ignore[type-arg]
    """A time column, moved back by a duration."""

    def __init__(self, column: str, by: timedelta) -> None:
        super().__init__(models.F(column) - models.Value(by), output_field=models.DateTimeField())
        self.by = by

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        # timestamptz - interval depends on the TimeZone setting, so it is not IMMUTABLE. Citus takes no such
        # function of a column in an UPDATE.
        (moved,) = self.get_source_expressions()
        column, params = compiler.compile(moved.get_source_expressions()[0])
        return f"({column} AT TIME ZONE 'UTC' - %s) AT TIME ZONE 'UTC'", [*params, self.by]


class IsWithin(models.Func):
    """Whether an address lies in a network, which is given as text."""

    output_field = models.BooleanField()
    arity = 2
    template = "%(expressions)s"
    arg_joiner = " <<= "

    def __init__(self, column: str, network: str) -> None:
        super().__init__(column, models.Value(network))

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        sql, params = super().as_sql(compiler, connection, **context)
        return f"{sql}::inet", params

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        connection.ensure_connection()
        connection.connection.create_function("sessions_ext_is_within", 2, _is_within, deterministic=True)
        return super().as_sql(
            compiler, connection, template="sessions_ext_is_within(%(expressions)s)", arg_joiner=", "
        )

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        (column, _), (_, (text,)) = map(compiler.compile, self.get_source_expressions())
        network = ip_network(text)
        address = f"INET6_ATON({column})"  # 4 or 16 bytes
        sql = f"(LENGTH({address}) = %s AND {address} BETWEEN INET6_ATON(%s) AND INET6_ATON(%s))"
        return sql, [network.max_prefixlen // 8, str(network[0]), str(network[-1])]


def _is_within(address: str | None, network: str) -> bool:
    return address is not None and ip_address(address) in ip_network(network)
