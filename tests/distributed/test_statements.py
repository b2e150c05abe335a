"""The walk finds what it is there to find: statements that Citus refuses or sends to every shard."""

import pytest
from django.db import connection

from tests.distributed.statements import TABLE, names_one_user, refused, statements_about_sessions

pytestmark = [pytest.mark.django_db, pytest.mark.skipif(connection.vendor != "postgresql", reason="Citus")]
T = f'"{TABLE}"'


def only(sql):
    (statement,) = statements_about_sessions(sql)
    return statement


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT 1 FROM {T} WHERE {T}.\"user_id\" = 5 AND (is_revoked AND id = 'x')",
        f"SELECT 1 FROM {T} INNER JOIN auth_user ON user_id = auth_user.id WHERE {T}.user_id = '5'::uuid",
        f"SELECT COUNT(*) FROM (SELECT 1 FROM {T} WHERE user_id = 5 LIMIT 9) AS subquery",
        f"UPDATE {T} SET location = 1 WHERE user_id = 5 AND id IN (SELECT id FROM {T} WHERE user_id = 5)",
        f"DELETE FROM {T} WHERE {T}.user_id IN (5)",
        f"INSERT INTO {T} (id, user_id) VALUES (1, 2)",
    ],
)
def test_one_user_is_named(sql):
    assert names_one_user(only(sql))
    assert not [*refused(only(sql))]


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT 1 FROM {T} WHERE id = 'x'",
        f"SELECT 1 FROM {T} WHERE user_id = 5 OR is_revoked",
        f"SELECT 1 FROM {T} WHERE NOT (user_id = 5)",
        f"SELECT 1 FROM {T} WHERE user_id IN (5, 6)",
        f"SELECT 1 FROM {T} WHERE user_id = impersonator_id",
        f"UPDATE {T} SET is_trusted = TRUE WHERE id IN (SELECT id FROM {T} WHERE user_id = 5)",
        f"UPDATE {T} SET location = 1 WHERE user_id = 5 AND id IN (SELECT id FROM {T})",
        f"UPDATE {T} SET location = 1 WHERE user_id = 5 AND id IN (SELECT id FROM {T} WHERE user_id = 6)",
        f"SELECT id, (SELECT 1 FROM {T} WHERE user_id = 5) FROM auth_user",
        f"INSERT INTO {T} (id) VALUES (1)",
    ],
)
def test_no_single_user_is_named(sql):
    assert not names_one_user(only(sql))


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (f"SELECT id FROM {T} ORDER BY id FOR UPDATE", "FOR UPDATE"),
        (
            f"UPDATE {T} SET is_trusted = TRUE WHERE id IN (SELECT id FROM {T} FOR NO KEY UPDATE)",
            "FOR UPDATE",
        ),
        (f"SELECT 1 FROM {T} TABLESAMPLE SYSTEM (1)", "TABLESAMPLE"),
        (f"SELECT user_id FROM {T} GROUP BY ROLLUP (user_id)", "ROLLUP"),
        (
            f"SELECT 1 FROM auth_user WHERE EXISTS (SELECT 1 FROM {T} U0 WHERE U0.id = auth_user.id)",
            "correlated",
        ),
        (f"WITH RECURSIVE x AS (SELECT id FROM {T}) SELECT 1 FROM x", "recursive"),
        (f"SELECT 1 FROM {T} INNER JOIN notes ON notes.id = {T}.id WHERE user_id = 5", "repartitioning"),
        (f"INSERT INTO {T} (id, user_id) VALUES (1, (SELECT 2))", "within INSERT"),
        (f"UPDATE {T} SET user_id = 6 WHERE user_id = 5", "partition value"),
        (f"UPDATE {T} SET last_activity_at = now() WHERE user_id = 5", "CURRENT_TIMESTAMP"),
        (f"UPDATE {T} SET location = random()::text WHERE user_id = 5", "random"),
        (f"UPDATE {T} SET providers_accessed = to_jsonb('x'::text) WHERE user_id = 5", "to_jsonb"),
        (f"UPDATE {T} SET expires_at = expires_at - '1 s'::interval WHERE user_id = 5", "IMMUTABLE"),
        (f"DELETE FROM {T} WHERE user_id = 5 AND expires_at + '1 s'::interval < '2020-01-01'", "IMMUTABLE"),
        (f"UPDATE {T} SET is_trusted = TRUE WHERE user_id = 5 RETURNING now()", "RETURNING"),
    ],
)
def test_what_citus_refuses_is_found(sql, reason):
    (found,) = refused(only(sql))
    assert reason.casefold() in found.casefold()


def test_statements_about_other_tables_are_left_alone():
    assert not statements_about_sessions("SHOW transaction_isolation")
    assert not statements_about_sessions('SELECT 1 FROM "auth_user" FOR UPDATE')
