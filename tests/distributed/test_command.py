"""distribute_sessions: what it changes, says, and refuses. Citus is not here: see stand_in.sql."""

from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from sessions_ext.db.owners import is_distributed
from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests.distributed.statements import OWNER, TABLE

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.user_model,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="Citus is of PostgreSQL"),
]
USERS = UserSession._meta.get_field("user").target_field.model._meta.db_table
NAME = get_user_model().USERNAME_FIELD
PARENTS = [model._meta.db_table for model in reversed(get_user_model()._meta.all_parents)]


def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def distribute(**options):
    """What it wrote to the two streams."""
    out, err = StringIO(), StringIO()
    call_command("distribute_sessions", stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def distributed():
    return run("SELECT logicalrelid::text, partmethod, partkey, colocated_with FROM pg_dist_partition")


def unique_keys():
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, TABLE)
    return {(*each["columns"], each["primary_key"]) for each in constraints.values() if each["unique"]}


BEFORE = {("id", True), ("refresh_token_id", False)}
AFTER = {("id", OWNER, True), ("refresh_token_id", OWNER, False)}


@pytest.fixture
def _stand_in(db):
    run(Path(__file__).with_name("stand_in.sql").read_text())


@pytest.fixture
def _users_without_unique_columns():
    """Those of a project that asked for users which can be distributed."""
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, USERS)
        for name, each in constraints.items():
            if each["unique"] and not each["primary_key"]:
                cursor.execute(f'ALTER TABLE "{USERS}" DROP CONSTRAINT "{name}"')


@pytest.mark.usefixtures("_stand_in")
def test_the_sessions_are_distributed_by_user_and_each_node_gets_the_users():
    session = UserSessionFactory(refresh_token_id=uuid4())
    connection.check_constraints()
    _, err = distribute()
    assert distributed() == [
        *((name, "n", None, None) for name in (*PARENTS, USERS)),
        (TABLE, "h", OWNER, "default"),
    ]
    assert unique_keys() == AFTER
    assert "SESSIONS_EXT['DISTRIBUTED']" in err
    session.refresh_from_db()
    with pytest.raises(IntegrityError), transaction.atomic():
        UserSessionFactory(user=session.user, refresh_token_id=session.refresh_token_id)


@pytest.mark.usefixtures("_stand_in", "_users_without_unique_columns")
@pytest.mark.skipif(bool(PARENTS), reason="of users in one table")
def test_the_sessions_can_lie_beside_their_users():
    distribute(users="colocated")
    key = get_user_model()._meta.pk.column
    assert distributed() == [(USERS, "h", key, "default"), (TABLE, "h", OWNER, f'"{USERS}"')]
    assert unique_keys() == AFTER
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, TABLE)
    assert [each["columns"] for each in constraints.values() if each["foreign_key"]] == [[OWNER]]


@pytest.mark.usefixtures("_stand_in")
@pytest.mark.skipif(bool(PARENTS), reason="of users in one table")
def test_users_are_not_distributed_where_their_names_would_no_longer_be_unique():
    with pytest.raises(CommandError, match=rf"{USERS} cannot be distributed .*{NAME}.* reference table"):
        distribute(users="colocated")
    assert not distributed()
    assert unique_keys() == BEFORE


@pytest.mark.usefixtures("_stand_in")
def test_users_who_are_a_reference_table_already_stay_one():
    for name in (*PARENTS, USERS):
        run(f"SELECT create_reference_table('\"{name}\"')")
    before = distributed()
    distribute()
    assert distributed() == [*before, (TABLE, "h", OWNER, "default")]


@pytest.mark.usefixtures("_stand_in")
def test_a_dry_run_writes_the_sql_and_changes_nothing():
    out, err = distribute(dry_run=True)
    assert not distributed()
    assert unique_keys() == BEFORE
    assert err == "Nothing was changed.\n"
    run(out)  # what it wrote is what it would run
    assert unique_keys() == AFTER
    assert distributed()[-1] == (TABLE, "h", OWNER, "default")


@pytest.mark.usefixtures("_stand_in")
def test_a_table_that_is_distributed_is_left_alone():
    distribute()
    with pytest.raises(CommandError, match="is distributed already"):
        distribute()


@pytest.mark.usefixtures("_stand_in")
def test_a_check_asks_for_the_setting_once_the_table_is_distributed(settings):
    def ids():
        return [message.id for message in run_checks(tags=["database"], databases=["default"])]

    assert "sessions_ext.W017" not in ids()
    distribute()
    assert "sessions_ext.W017" in ids()
    settings.SESSIONS_EXT = {"DISTRIBUTED": True}
    assert "sessions_ext.W017" not in ids()
    assert "sessions_ext.W017" not in [message.id for message in run_checks(tags=["database"])]


@pytest.mark.usefixtures("_stand_in")
def test_foreign_keys_that_lead_to_sessions_are_named():
    run(f'CREATE TABLE badges (session uuid CONSTRAINT of_session REFERENCES "{TABLE}")')
    with pytest.raises(CommandError, match=r"badges\.of_session.*db_constraint=False"):
        distribute()
    assert unique_keys() == BEFORE


@pytest.mark.usefixtures("_stand_in")
def test_a_table_that_was_not_made_yet_is_asked_for():
    run(f'ALTER TABLE "{TABLE}" RENAME TO elsewhere')
    with pytest.raises(CommandError, match="Run migrate first"):
        distribute()


def test_without_the_extension_it_says_so_and_changes_nothing():
    with pytest.raises(CommandError, match=r"Citus is not installed in 'default'.*CREATE EXTENSION citus"):
        distribute()
    assert unique_keys() == BEFORE
    out, err = distribute(dry_run=True)
    assert f"create_distributed_table('\"{TABLE}\"', '{OWNER}')" in out
    assert err == "Nothing was changed. Citus is not installed here.\n"


def test_a_database_that_is_no_postgresql_is_refused():
    assert not is_distributed(TABLE, "other")
    with pytest.raises(CommandError, match="'other' is no PostgreSQL"):
        distribute(database="other")


def test_a_database_that_does_not_exist_is_refused():
    with pytest.raises(CommandError, match=r"there is no 'nowhere'\. Choose from: default, other"):
        distribute(database="nowhere")
