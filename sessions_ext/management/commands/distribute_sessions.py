from collections.abc import Iterator
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_ext.db.owners import is_distributed
from sessions_ext.models import UserSession

REFERENCE, COLOCATED = "reference", "colocated"


class Step(NamedTuple):
    why: str
    sql: str


class Command(BaseCommand):
    help = (
        "Distributes the table of sessions by user over the nodes of a Citus cluster, in one transaction. "
        "Says each statement before it runs it. Logins wait until it has finished."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--users",
            choices=[REFERENCE, COLOCATED],
            default=REFERENCE,
            help="Where the users are: a copy on each node (reference, the default), or each on the node "
            "of the sessions (colocated).",
        )
        parser.add_argument(
            "--database", help="The database to change. Default: the one that sessions are written to."
        )
        parser.add_argument("--dry-run", action="store_true", help="Write the SQL. Change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        database = options["database"] or router.db_for_write(UserSession)
        if database not in connections:
            raise CommandError(
                f"--database: there is no {database!r}. Choose from: {', '.join(connections)}."
            )
        connection = connections[database]
        if connection.vendor != "postgresql":
            raise CommandError(f"{database!r} is no PostgreSQL. Citus is an extension of PostgreSQL.")
        is_installed = _ask(connection, "SELECT to_regproc('create_distributed_table') IS NOT NULL")
        if not is_installed and not options["dry_run"]:
            raise CommandError(
                f"Citus is not installed in {database!r}: there is no function create_distributed_table()."
                " Set the cluster up, run CREATE EXTENSION citus, and add its nodes. --dry-run shows what"
                " would be done."
            )
        with transaction.atomic(using=database):
            # Read before the first statement changes anything.
            for step in list(_steps(connection, options["users"])):
                self.stdout.write(f"-- {step.why}\n{step.sql};")
                if not options["dry_run"]:
                    _run(connection, step.sql)
        if options["dry_run"]:
            note = "" if is_installed else " Citus is not installed here."
            self.stderr.write(f"Nothing was changed.{note}")
        else:
            self.stderr.write("Now set SESSIONS_EXT['DISTRIBUTED'] to True and restart all processes.")


def _steps(connection: BaseDatabaseWrapper, users: str) -> Iterator[Step]:
    quote = connection.ops.quote_name

    def text(name: str) -> str:
        return "'" + name.replace("'", "''") + "'"

    table, owner = UserSession._meta.db_table, UserSession._meta.get_field("user")
    key: Any = owner.target_field
    constraints = _constraints(connection, table)
    _refuse_references(connection, table)
    if is_distributed(table, connection.alias):
        raise CommandError(f"{table} is distributed already.")
    yield Step(
        "Citus wants it in a transaction in which tables with foreign keys are distributed.",
        "SET LOCAL citus.multi_shard_modify_mode TO 'sequential'",
    )
    # A user model that inherits a table has its rows in both.
    for model in (*reversed(key.model._meta.all_parents), key.model):
        name = model._meta.db_table
        if is_distributed(name, connection.alias):
            continue
        if users == REFERENCE:
            yield Step(
                "Each node gets a copy of the users.", f"SELECT create_reference_table({text(quote(name))})"
            )
        else:
            _refuse_unique(connection, name, model._meta.pk.column)
            yield Step(
                "The users are distributed by their key.",
                f"SELECT create_distributed_table({text(quote(name))}, {text(model._meta.pk.column)})",
            )
    # Citus keeps a key unique only together with the column by which it distributes. That comes last: the
    # index then finds a row by its id alone, too, and grows at its end as logins come in.
    for kind, columns in (("PRIMARY KEY", ["id"]), ("UNIQUE", ["refresh_token_id"])):
        (name,) = (
            name for name, each in constraints.items() if each["unique"] and each["columns"] == columns
        )
        both = ", ".join(map(quote, [*columns, owner.column]))
        yield Step(
            "What is unique is so together with the user.",
            f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(name)},"
            f" ADD CONSTRAINT {quote(name)} {kind} ({both})",
        )
    beside = ""
    if users == COLOCATED:
        beside = f", colocate_with => {text(quote(key.model._meta.db_table))}"
        for name, each in constraints.items():
            if each["foreign_key"] and each["columns"] != [owner.column]:
                yield Step(
                    "A foreign key may not lead to another node. Django deletes those rows itself.",
                    f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(name)}",
                )
    yield Step(
        "The sessions of a user are on one node.",
        f"SELECT create_distributed_table({text(quote(table))}, {text(owner.column)}{beside})",
    )


def _refuse_references(connection: BaseDatabaseWrapper, table: str) -> None:
    referring = _ask(
        connection,
        "SELECT string_agg(conrelid::regclass || '.' || conname, ', ') FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = to_regclass(%s)",
        connection.ops.quote_name(table),
    )
    if referring:
        raise CommandError(
            f"Foreign keys lead to {table}: {referring}. Citus keeps none that does not name the user. Make"
            " them plain columns first (db_constraint=False)."
        )


def _refuse_unique(connection: BaseDatabaseWrapper, table: str, key: str) -> None:
    unique = [
        ", ".join(each["columns"])
        for each in _constraints(connection, table).values()
        if each["unique"] and key not in each["columns"]
    ]
    if unique:
        raise CommandError(
            f"{table} cannot be distributed by {key}: over several nodes, Citus does not keep unique what"
            f" does not include it ({'; '.join(sorted(unique))}). Make the users a reference table."
        )


def _constraints(connection: BaseDatabaseWrapper, table: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        found: dict[str, Any] = connection.introspection.get_constraints(cursor, table)
    if not found:
        raise CommandError(f"There is no table {table}. Run migrate first.")
    return found


def _ask(connection: BaseDatabaseWrapper, sql: str, *params: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()[0]


def _run(connection: BaseDatabaseWrapper, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
