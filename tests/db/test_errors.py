"""What an error of the database says, whichever driver it comes from."""

import pytest
from django.db import DatabaseError, connection, transaction

from sessions_ext.db.errors import sqlstate

pytestmark = pytest.mark.django_db


@pytest.mark.skipif("connection.vendor == 'mysql'", reason="PyMySQL has other states, and mysqlclient none")
def test_an_error_of_postgresql_has_its_state():
    with pytest.raises(DatabaseError) as raised, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT nowhere")
    assert sqlstate(raised.value) == ("42703" if connection.vendor == "postgresql" else None)


class Psycopg2Error(Exception):
    pgcode = "55P03"


def test_psycopg_2_gives_it_by_another_name():
    with pytest.raises(DatabaseError) as raised:
        raise DatabaseError from Psycopg2Error()
    assert sqlstate(raised.value) == "55P03"


def test_an_error_that_no_driver_caused_has_none():
    assert sqlstate(DatabaseError()) is None
