"""What Citus makes of a statement, as far as its text says.

Each reason in refused() is an error of Citus, and names the file of its source that raises it. The page "SQL
Support and Workarounds" of its documentation says the same in fewer words.
"""

import re
from collections.abc import Iterator
from functools import cache

import sqlglot
from django.contrib.auth import get_user_model
from django.db import Error, connection, transaction
from sqlglot import exp

from sessions_ext.db.errors import sqlstate
from sessions_ext.models import UserSession

TABLE, OWNER = UserSession._meta.db_table, "user_id"
USERS = {model._meta.db_table for model in (get_user_model(), *get_user_model()._meta.all_parents)}
NOT_IMMUTABLE = "42P17"
SCOPES = (exp.Select, exp.Update, exp.Delete)


def statements_about_sessions(sql: str) -> list[exp.Expression]:
    without_explain = re.sub(r"^EXPLAIN \([^)]*\) ", "", sql)
    # Those about savepoints, settings and the catalogue are not all known to the parser.
    if f'"{TABLE}"' not in without_explain:
        return []
    # The parser does not know the operator <<= of addresses.
    parsed = sqlglot.parse(without_explain.replace(" <<= ", " <@ "), read="postgres")
    return [statement for statement in parsed if statement]


def names_one_user(statement: exp.Expression) -> bool:
    """Whether the statement itself and each sub-select that reads the table name the same user. One that does
    nothing but count or limit a sub-select in its FROM is taken for that."""
    if isinstance(statement, exp.Insert):
        return OWNER in [column.name for column in statement.this.expressions]
    reading = [scope for scope in statement.find_all(*SCOPES) if _reads(scope)]
    users = [_owner_of(scope) for scope in reading]
    return None not in users and len(set(users)) == 1 and (statement in reading or _wraps(statement, reading))


def refused(statement: exp.Expression) -> Iterator[str]:
    if not names_one_user(statement):
        yield from _refused_on_many_shards(statement)
    # A table beside the users', which are a reference table, lies elsewhere.
    if (
        strangers := {table.name for table in statement.find_all(exp.Table)}
        - {TABLE}
        - USERS
        - _ctes(statement)
    ):
        yield f"the query contains a join that requires repartitioning: {sorted(strangers)}"
    # multi_router_planner.c, ModifyPartialQuerySupported() and ModifyQuerySupported()
    if isinstance(statement, exp.Insert) and statement.find(exp.Select):
        yield "subqueries are not supported within INSERT queries"
    if isinstance(statement, exp.Update) and OWNER in [each.this.name for each in statement.expressions]:
        yield "modifying the partition value of rows is not allowed"
    for expression in _computed(statement):
        if expression.find(exp.Column, exp.Func) and not _is_immutable(_unqualified(expression)):
            yield f"functions used in UPDATE queries must be IMMUTABLE: {expression.sql('postgres')}"
    if any(not isinstance(each, exp.Column) for each in _returned(statement)):
        yield "non-IMMUTABLE functions are not allowed in the RETURNING clause"


def _refused_on_many_shards(statement: exp.Expression) -> Iterator[str]:
    # multi_logical_planner.c, DeferErrorIfQueryNotSupported()
    if statement.find(exp.Lock):
        yield "could not run distributed query with FOR UPDATE/SHARE commands"
    if statement.find(exp.TableSample):
        yield "could not run distributed query which use TABLESAMPLE"
    if statement.find(exp.GroupingSets, exp.Cube, exp.Rollup):
        yield "could not run distributed query with GROUPING SETS, CUBE, or ROLLUP"
    # query_pushdown_planning.c
    if any(with_.recursive for with_ in statement.find_all(exp.With)):
        yield "recursive CTEs are only supported when they contain a filter on the distribution column"
    if any(map(_is_correlated, statement.find_all(exp.Select))):
        yield "correlated subqueries are not supported when not on the distribution column"


def _scope(node: exp.Expression) -> exp.Expression | None:
    return node.find_ancestor(exp.Lock, *SCOPES)


def _reads(scope: exp.Expression) -> bool:
    return any(table.name == TABLE and _scope(table) is scope for table in scope.find_all(exp.Table))


def _wraps(statement: exp.Expression, reading: list[exp.Expression]) -> bool:
    """Whether they stand in the statement's FROM."""
    return any(isinstance(each.parent.parent, exp.From) and _scope(each) is statement for each in reading)


def _owner_of(scope: exp.Expression) -> str | None:
    """The user whom the conditions of a scope name."""
    for condition in _conditions(scope):
        match condition:
            case exp.EQ(this=exp.Column() as column, expression=value):
                values = [value]
            case exp.In(this=exp.Column() as column):
                values = condition.expressions
            case _:
                continue
        if column.name == OWNER and len(values) == 1 and not values[0].find(exp.Column, exp.Select):
            return values[0].sql("postgres")
    return None


def _conditions(scope: exp.Expression) -> Iterator[exp.Expression]:
    def parts(node: exp.Expression) -> Iterator[exp.Expression]:
        node = node.unnest()
        if isinstance(node, exp.And):
            yield from parts(node.left)
            yield from parts(node.right)
        else:
            yield node

    where = scope.args.get("where")
    return parts(where.this) if where else iter(())


def _is_correlated(select: exp.Select) -> bool:
    own = {table.alias_or_name for table in select.find_all(exp.Table) if _scope(table) is select}
    own |= {derived.alias for derived in select.find_all(exp.Subquery) if derived.alias}
    foreign = [
        column
        for column in select.find_all(exp.Column)
        if _scope(column) is select and column.table and column.table not in own
    ]
    return any(
        not (
            isinstance(column.parent, exp.EQ) and column.parent.left.name == column.parent.right.name == OWNER
        )
        for column in foreign
    )


def _ctes(statement: exp.Expression) -> set[str]:
    return {each.alias for each in statement.find_all(exp.CTE)}


def _computed(statement: exp.Expression) -> Iterator[exp.Expression]:
    """What an UPDATE sets, and under which conditions it and a DELETE change a row."""
    if isinstance(statement, exp.Update):
        yield from (each.expression for each in statement.expressions)
    if isinstance(statement, exp.Update | exp.Delete):
        yield from (each for each in _conditions(statement) if not each.find(exp.Select))


def _returned(statement: exp.Expression) -> list[exp.Expression]:
    returning = statement.args.get("returning")
    return returning.expressions if returning and not isinstance(statement, exp.Insert) else []


def _unqualified(expression: exp.Expression) -> str:
    return expression.transform(
        lambda node: exp.column(node.name, quoted=True) if isinstance(node, exp.Column) else node
    ).sql("postgres")


@cache
def _is_immutable(expression: str) -> bool:
    """PostgreSQL's own word: an index must not be made over anything else."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f'CREATE TEMPORARY TABLE probe (LIKE "{TABLE}")')
            cursor.execute(f"CREATE INDEX ON probe (({expression}), id)")
            transaction.set_rollback(True)
    except Error as error:
        if sqlstate(error) != NOT_IMMUTABLE:
            raise
        return False
    return True
