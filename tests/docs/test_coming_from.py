"""The statements that take session data over. The table of the other package is made here, as it makes it."""

from datetime import timedelta

import pytest
from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone

from sessions_ext.models import UserSession
from tests.docs.pages import ROOT, fenced

# Making a table commits on MariaDB.
pytestmark = pytest.mark.once

TABLES = {"django-user-sessions": "user_sessions_session", "django-qsessions": "qsessions_session"}


@pytest.mark.django_db
@pytest.mark.parametrize("package", TABLES)
def test_who_is_signed_in_by_the_other_package_stays_so(package, client, user, settings):
    settings.SESSION_ENGINE = "sessions_ext.engines.db"
    store = SessionStore()
    store[auth.SESSION_KEY] = user._meta.pk.value_to_string(user)
    store[auth.BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    client.cookies["sessionid"] = store.session_key
    kept = Session.objects.get()
    Session.objects.create(pk="over", session_data="", expire_date=timezone.now() - timedelta(minutes=1))
    table = TABLES[package]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} AS SELECT * FROM django_session")
        Session.objects.all().delete()
        (block,) = (block for block in fenced(ROOT / f"docs/coming-from/{package}.md") if block.kind == "sql")
        for _ in range(2):  # the page runs it twice
            cursor.execute(block.code)
    assert list(Session.objects.all()) == [kept]
    assert client.get("/who/").content.decode() == user.get_username()
    assert UserSession.objects.get().is_adopted
