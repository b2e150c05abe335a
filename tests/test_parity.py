"""Sync and async do the same. The methods are found by inspection, so that one added without
a twin, or without a case here, is a red test."""

import inspect
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.db import models
from django.template import Context, Template
from django.test import RequestFactory, override_settings

from sessions_ext.managers import UserSessionManager, UserSessionQuerySet
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROW, OLDER, NEW, TOKEN, TOKEN_2 = (UUID(int=number) for number in range(1, 6))
UNKNOWN = UUID(int=99)
CLASSES = [UserSessionQuerySet, UserSessionManager, UserSession]
CALCULATES = {"is_fresh"}  # from the row, as it was loaded
FLAGS = ["queryset_only", "alters_data"]


def methods(owner):
    """The public methods that a class defines itself."""
    return {
        name: value
        for name, value in vars(owner).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def chains(method):
    return inspect.signature(method).return_annotation is Self


def to_twin(owner):
    """Those that touch the database: all but the async ones and those that build a queryset."""
    return {
        name: method
        for name, method in methods(owner).items()
        if name not in CALCULATES and not inspect.iscoroutinefunction(method) and not chains(method)
    }


PAIRS = [(owner, name) for owner in CLASSES for name in to_twin(owner)]
LAZY = [name for name, method in methods(UserSessionQuerySet).items() if chains(method)]


def request():
    return RequestFactory().get("/", REMOTE_ADDR="198.51.100.7", headers={"user-agent": "curl/8.7.1"})


# The arguments of a call, made for the user at hand.
CASES = [
    (UserSessionQuerySet, "revoke", lambda user: ["admin"]),
    (UserSessionQuerySet, "revoke", lambda user: [""]),
    (UserSessionQuerySet, "touch", lambda user: []),
    (UserSessionQuerySet, "touch", lambda user: ["[2001:db8::1]:443"]),
    (UserSessionQuerySet, "delete", lambda user: []),
    (UserSession, "delete", lambda user: []),
    (UserSession, "refresh_from_db", lambda user: []),
    (UserSession, "refresh_from_db", lambda user: {"fields": ["is_trusted"]}),
    (UserSessionQuerySet, "trust", lambda user: []),
    (UserSessionQuerySet, "untrust", lambda user: []),
    (UserSessionManager, "by_refresh_token", lambda user: [TOKEN]),
    (UserSessionManager, "by_refresh_token", lambda user: ["none"]),
    (UserSessionManager, "start", lambda user: {"user": user, "request": request(), "_id": NEW}),
    (UserSessionManager, "start", lambda user: {"user": user, "refresh_token_id": TOKEN, "_id": NEW}),
    (UserSessionManager, "start", lambda user: {"user": user, "expires_at": NOW + HOUR, "_id": ROW}),
    (UserSessionManager, "verify", lambda user: [user.pk, ROW]),
    (UserSessionManager, "verify", lambda user: [user.pk, UNKNOWN]),
    (UserSessionManager, "verify", lambda user: ["nobody", "nothing"]),
    (UserSessionManager, "enforce_limit", lambda user: [user]),
    (UserSessionManager, "cleanup", lambda user: []),
    (UserSessionManager, "cleanup", lambda user: {"before": NOW - 9 * HOUR, "batch_size": 1}),
    (UserSessionManager, "cleanup", lambda user: {"batch_size": 0}),
    (UserSessionManager, "preview_cleanup", lambda user: []),
    (UserSessionManager, "preview_cleanup", lambda user: {"before": NOW + HOUR}),
    (UserSession, "revoke", lambda user: ["stolen"]),
    (UserSession, "revoke", lambda user: [""]),
    (UserSession, "disown", lambda user: []),
    (UserSession, "trust", lambda user: []),
    (UserSession, "untrust", lambda user: []),
    (UserSession, "record_provider_access", lambda user: ["github"]),
    (UserSession, "record_provider_access", lambda user: [""]),
    (UserSession, "flag_suspicious", lambda user: ["odd"]),
]


@pytest.mark.parametrize("owner", CLASSES)
def test_every_method_that_touches_the_database_has_a_twin_and_no_twin_stands_alone(owner):
    twins = {name for name, method in methods(owner).items() if inspect.iscoroutinefunction(method)}
    assert twins == {f"a{name}" for name in to_twin(owner)}


@pytest.mark.parametrize(("owner", "name"), PAIRS)
def test_a_twin_has_the_same_signature_and_flags(owner, name):
    method, twin = getattr(owner, name), getattr(owner, f"a{name}")
    assert inspect.signature(twin) == inspect.signature(method)
    assert twin.__name__ == f"a{name}"
    assert [getattr(twin, flag, False) for flag in FLAGS] == [getattr(method, flag, False) for flag in FLAGS]


@pytest.mark.parametrize("name", to_twin(UserSessionQuerySet))
def test_what_changes_rows_is_not_on_the_manager(name):
    assert getattr(UserSessionQuerySet, name).alters_data
    assert not hasattr(UserSession.objects, name)
    assert not hasattr(UserSession.objects, f"a{name}")


@pytest.mark.parametrize("name", LAZY)
@pytest.mark.django_db
def test_what_chains_runs_no_query_and_is_on_the_manager(name, user, django_assert_num_queries):
    args = {"for_user": [user], "signed_in_since": [NOW]}.get(name, [])
    with django_assert_num_queries(0):
        assert isinstance(getattr(UserSession.objects.all(), name)(*args), UserSessionQuerySet)
        assert isinstance(getattr(UserSession.objects, name)(*args), models.QuerySet)


@pytest.mark.parametrize("call", ["cleanup", "all.revoke", "all.touch", "first.revoke", "all.delete"])
@pytest.mark.django_db
def test_a_template_changes_no_row(user, call):
    UserSessionFactory(user=user, expired=True)
    before = list(UserSession.objects.values())
    Template("{{ user.user_sessions." + call + " }}").render(Context({"user": user}))
    assert list(UserSession.objects.values()) == before


def test_every_method_has_a_case():
    assert {(owner, name) for owner, name, _ in CASES} == set(PAIRS)


def outcome(user, owner, name, arguments, is_async):
    """What a call returns or raises and the rows that it leaves, starting from the same two."""
    UserSession.objects.all().delete()
    older = {"created_at": NOW - 10 * HOUR, "expires_at": NOW - 9 * HOUR - timedelta(seconds=1)}
    UserSessionFactory(pk=OLDER, user=user, **older)
    UserSessionFactory(pk=ROW, user=user, created_at=NOW - HOUR, refresh_token_id=TOKEN)
    rows = UserSession.objects.filter(user=user)
    target = {
        UserSessionQuerySet: lambda: rows,
        UserSessionManager: lambda: UserSession.objects,
        UserSession: lambda: rows.get(pk=ROW),
    }[owner]()
    args, kwargs = ((), arguments) if isinstance(arguments, dict) else (arguments, {})
    method = getattr(target, f"a{name}" if is_async else name)
    try:
        result = (async_to_sync(method) if is_async else method)(*args, **kwargs)
    except Exception as error:
        result = type(error)
    seen = vars(target).copy() if isinstance(target, UserSession) else {}
    seen.pop("_state", None)
    return type(result), result, seen, list(UserSession.objects.order_by("pk").values())


@pytest.mark.parametrize(
    ("owner", "name", "arguments"), CASES, ids=[f"{owner.__name__}.{name}" for owner, name, _ in CASES]
)
@pytest.mark.django_db(transaction=True)
def test_the_twin_returns_the_same_and_leaves_the_same_rows(owner, name, arguments):
    user = UserFactory()
    with (
        time_machine.travel(NOW, tick=False),
        override_settings(SESSIONS_EXT={"MAX_SESSIONS": 1, "SUSPICION_THRESHOLD": 1}),
    ):
        done = outcome(user, owner, name, arguments(user), is_async=False)
        assert outcome(user, owner, name, arguments(user), is_async=True) == done
