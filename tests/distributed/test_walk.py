"""Each statement of each public operation runs on one shard of a table that is distributed by user, or is
about many users by nature. None is one that Citus refuses."""

import inspect

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions_ext import urls
from sessions_ext.managers import UserSessionManager
from sessions_ext.models import UserSession
from sessions_ext.querysets import UserSessionQuerySet
from tests.distributed.operations import ACTIONS, OPERATIONS, World
from tests.distributed.statements import names_one_user, refused, statements_about_sessions
from tests.urls import api

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.once,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="Citus"),
]

# Those that are about many users, or about one whom only the row knows.
MANY = {
    "UserSessionQuerySet.revoke of everybody",
    "UserSessionQuerySet.touch of everybody",
    "UserSessionQuerySet.trust of everybody",
    "UserSessionQuerySet.untrust of everybody",
    "UserSessionQuerySet.delete of everybody",
    "UserSessionManager.by_refresh_token",
    "UserSessionManager.cleanup",
    "UserSessionManager.preview_cleanup",
    "cleanup for receivers",
    "revoke, where users act as others",
    "an account that is deleted",  # and the sessions in which it acts as others
    "admin changelist",
    "admin change",  # its path has the id of the row alone
    "admin delete",
    "admin history",
    "admin overview",
    "admin end_all",
    *(f"admin {name}" for name in ACTIONS),
}
SETTINGS = {"DISTRIBUTED": True, "NEW_DEVICE_EMAIL": True, "MAX_SESSIONS": 5, "IDLE_TIMEOUT": 86400}


def statements_of(name, later):
    world = World(later)
    cache.clear()
    with CaptureQueriesContext(connection) as queries:
        OPERATIONS[name](world)
    return [each for query in queries for each in statements_about_sessions(query["sql"])]


def with_a_cache():
    """The pages, the API and the admin call what the other operations do."""
    callers = ("page ", "API ", "admin ")
    for name in OPERATIONS:
        yield pytest.param(name, "default", marks=pytest.mark.slow if name.startswith(callers) else ())


@pytest.mark.parametrize(("name", "cached"), [*((name, None) for name in OPERATIONS), *with_a_cache()])
def test_citus_takes_each_statement_and_runs_it_on_one_shard_where_it_is_about_one_user(
    name, cached, settings, later, django_capture_on_commit_callbacks
):
    settings.SESSIONS_EXT = SETTINGS | {"CACHE": cached}
    with django_capture_on_commit_callbacks(execute=True):
        statements = statements_of(name, later)
    assert statements or cached
    assert not [(reason, each.sql("postgres")) for each in statements for reason in refused(each)]
    everywhere = [each.sql("postgres") for each in statements if not names_one_user(each)]
    assert bool(everywhere) == (name in MANY), everywhere


def test_the_walk_leaves_no_operation_out():
    of_models = {
        f"{owner.__name__}.{name}"
        for owner in (UserSession, UserSessionQuerySet, UserSessionManager)
        for name, method in vars(owner).items()
        if inspect.isfunction(method) and not name.startswith("_") and not inspect.iscoroutinefunction(method)
    }
    of_api = {
        f"API {operation['operationId']}"
        for path in api.get_openapi_schema()["paths"].values()
        for operation in path.values()
        if operation.get("tags", [""])[0].startswith("sessions")
    }
    of_pages = {f"page {pattern.name}" for pattern in urls.urlpatterns}
    model_admin = admin.site.get_model_admin(UserSession)
    of_admin = {
        f"admin {pattern.name.removeprefix('sessions_ext_usersession_')}"
        for pattern in model_admin.urls
        if pattern.name
    } | {f"admin {name}" for name in model_admin.actions}
    of_admin.remove("admin add")  # nobody may add a session
    of_models.remove("UserSession.is_fresh")  # no query
    assert of_models | of_api | of_pages | of_admin <= set(OPERATIONS)
    assert set(OPERATIONS) >= MANY
