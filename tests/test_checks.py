"""What `manage.py check` says of a project."""

import inspect
import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.db import connection
from django.db.models import Index
from django.db.models.functions import Lower, Upper
from django.db.models.signals import post_delete, pre_delete
from django.test import modify_settings, override_settings

from sessions_ext import checks, database_checks
from sessions_ext.middleware import UserSessionMiddleware
from sessions_ext.testing import UserFactory

SOURCES = inspect.getsource(checks) + inspect.getsource(database_checks)
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
OURS = "sessions_ext.middleware.UserSessionMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
ENGINE = "django.contrib.sessions.backends."


def all_but(app):
    return [installed for installed in settings.INSTALLED_APPS if installed != app]


# The id, the settings that are at fault, and what the message and the hint must say.
FAULTS = [
    ("E001", {"SESSIONS_EXT": {"LIFETIMES": 60}}, "'LIFETIMES'", "'LIFETIME'"),
    ("E002", {"SESSIONS_EXT": {"LIFETIME": "60"}}, "SESSIONS_EXT['LIFETIME'] must be", None),
    ("E003", {"MIDDLEWARE": [SESSIONS, AUTH]}, "not in MIDDLEWARE", OURS),
    ("E004", {"MIDDLEWARE": [SESSIONS, OURS, AUTH]}, "must come after AuthenticationMiddleware", AUTH),
    ("E005", {"INSTALLED_APPS": all_but("django.contrib.auth")}, "'django.contrib.auth'", None),
    ("E006", {"INSTALLED_APPS": all_but("django.contrib.sessions")}, "'django.contrib.sessions'", None),
    (
        "E007",
        {"SESSIONS_EXT": {"IDLE_TIMEOUT": 60, "TOUCH_INTERVAL": 60}},
        "TOUCH_INTERVAL is not shorter than IDLE_TIMEOUT",
        None,
    ),
    ("E008", {"SESSIONS_EXT": {"LOCATION": "no.such.place"}}, "'LOCATION'", None),
    ("E009", {"SESSIONS_EXT": {"CACHE": "none"}}, "'none'", None),
    ("W004", {"SESSIONS_EXT": {"CACHE": "default"}}, "not all processes", "Redis"),
    ("W001", {"SESSIONS_EXT": {"LIFETIME": 3600, "IDLE_TIMEOUT": 3601}}, "IDLE_TIMEOUT is longer", None),
    (
        "W002",
        {"SESSIONS_EXT": {"LIFETIME": 600, "ACCESS_TOKEN_LIFETIME": 601}},
        "ACCESS_TOKEN_LIFETIME is longer",
        None,
    ),
    (
        "W003",
        {"SESSIONS_EXT": {"SIGNING_KEY": "31 characters, and one too few "}},
        "SIGNING_KEY",
        "secret_key",
    ),
    ("W006", {"MIDDLEWARE": [SESSIONS, AUTH, f"{__name__}.wraps_user", OURS]}, "wraps_user", "right after"),
    ("W008", {"LOGIN_URL": "/nowhere/"}, "'/nowhere/'", "your login page"),
    (
        "W013",
        {"DATABASE_ROUTERS": [f"{__name__}.ReadsElsewhere"], "SESSION_ENGINE": f"{ENGINE}db"},
        "read sessions.Session from 'other' and write it to 'default'",
        "cached_db",
    ),
    ("E010", {"DATABASE_ROUTERS": [f"{__name__}.RowsElsewhere"]}, "'other' and users to 'default'", "router"),
]

GOOD = [
    {},
    {"LIFETIME": 3600, "IDLE_TIMEOUT": 3600, "ACCESS_TOKEN_LIFETIME": 3600},
    {"IDLE_TIMEOUT": 61, "TOUCH_INTERVAL": 60},
    {"IDLE_TIMEOUT": 60, "TOUCH_INTERVAL": 0},
    {"LOCATION": None, "MAX_SESSIONS": None},
    {"MAX_SESSIONS": 5, "DEVICE_INFO": "sessions_ext.clients.describe_device"},
    {"MAX_SESSIONS": "builtins.len", "LOCATION": "builtins.str"},
    {"SIGNING_KEY": "32 characters, and that suffices"},
]


def wraps_user(get_response):
    return get_response


class RowsElsewhere:
    def db_for_write(self, model, **hints):
        return "other" if model._meta.label == "sessions_ext.UserSession" else None


class ReadsElsewhere:
    def db_for_read(self, model, **hints):
        return "other"


class QuieterMiddleware(UserSessionMiddleware):
    pass


def test_a_cache_that_all_processes_share_is_no_fault(settings):
    redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    settings.CACHES = {"default": redis}
    settings.SESSIONS_EXT = {"CACHE": "default"}
    assert [message.id for message in run_checks(tags=["sessions_ext"])] == []


@pytest.mark.parametrize("engine", ["cached_db", "cache"])
def test_an_engine_that_asks_a_cache_first_may_read_from_a_replica(engine):
    assert ids(DATABASE_ROUTERS=[f"{__name__}.ReadsElsewhere"], SESSION_ENGINE=f"{ENGINE}{engine}") == []


def found(**overrides):
    with override_settings(**overrides):
        return run_checks(tags=["sessions_ext"])


def ids(**overrides):
    return [message.id.removeprefix("sessions_ext.") for message in found(**overrides)]


@pytest.mark.parametrize("values", GOOD)
def test_good_settings_are_passed_in_silence(values):
    assert found(SESSIONS_EXT=values) == []


@pytest.mark.parametrize(("id", "overrides", "text", "hint"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_fault_is_reported_by_its_id(id, overrides, text, hint):
    (message,) = found(**overrides)
    assert message.id == f"sessions_ext.{id}"
    assert message.is_serious() == id.startswith("E")
    assert text in message.msg
    assert (hint is None) == (message.hint is None)
    assert hint is None or hint in message.hint


def test_each_id_means_one_fault_and_is_tested():
    assert sorted(re.findall(r'sessions_ext\.([EW]\d+)"', SOURCES)) == sorted(
        [*(fault[0] for fault in FAULTS), "W005", "W007", "W009", "W010", "W012", "W016", "W017"]
    )


def test_a_project_without_the_pages_needs_no_login_url():
    assert found(ROOT_URLCONF=(), LOGIN_URL="/nowhere/") == []


def test_an_app_that_makes_stores_itself_needs_a_verified_engine(monkeypatch):
    monkeypatch.setattr(checks, "READ_SESSIONS_THEMSELVES", ("axes", "not.installed"))
    (message,) = found(SESSION_ENGINE=f"{ENGINE}cached_db")
    assert (message.id, message.is_serious()) == ("sessions_ext.W007", False)
    assert "axes opens sessions" in message.msg
    assert "'sessions_ext.engines.cached_db'" in message.hint
    assert found(SESSION_ENGINE="sessions_ext.engines.cached_db") == []
    assert found(SESSION_ENGINE="project.engine") == []


def test_a_site_with_second_factors_has_a_hook_for_the_apis_login(monkeypatch):
    monkeypatch.setattr(checks, "ASK_FOR_MORE", ("axes", "not.installed"))
    (message,) = found()
    assert (message.id, message.is_serious()) == ("sessions_ext.W009", False)
    assert "the site has axes" in message.msg
    assert "'sessions_ext.login_hooks." in message.hint
    assert found(SESSIONS_EXT={"LOGIN_HOOK": "builtins.len"}) == []
    assert "W009" not in ids(ROOT_URLCONF="tests.only_devices")


def test_a_site_whose_staff_log_in_as_users_says_how_to_tell_who_acts(monkeypatch):
    monkeypatch.setattr(checks, "LOG_IN_AS_USERS", ("axes", "not.installed"))
    (message,) = found()
    assert (message.id, message.is_serious()) == ("sessions_ext.W012", False)
    assert "With axes staff log in as users" in message.msg
    assert "'sessions_ext.impersonation.axes'" in message.hint
    assert found(SESSIONS_EXT={"IMPERSONATOR": "builtins.len"}) == []


@pytest.fixture
def indexed():
    def create(*expressions):
        users = get_user_model()
        with connection.schema_editor() as editor:
            editor.add_index(users, Index(*expressions, name="tests_email"))

    return create


@pytest.mark.django_db
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL tells by what it is indexed")
def test_many_users_need_an_index_of_their_addresses(monkeypatch, indexed):
    def found(databases=("default",), **overrides):
        with override_settings(**overrides):
            messages = run_checks(tags=["database"], databases=databases)
        return [message for message in messages if message.id.startswith("sessions_ext")]

    UserFactory()
    UserFactory()
    assert found() == []
    monkeypatch.setattr(database_checks, "MANY_USERS", 1)
    (message,) = found()
    assert (message.id, message.is_serious()) == ("sessions_ext.W010", False)
    assert get_user_model()._meta.label in message.msg
    assert "Index(Upper('email')" in message.hint
    assert found(databases=[]) == found(databases=["other"]) == []
    assert found(ROOT_URLCONF="tests.only_devices") == []
    with monkeypatch.context() as patch:
        patch.setattr(get_user_model(), "USERNAME_FIELD", "email")
        assert found() == []
    indexed(Lower("email"))  # which no iexact uses
    assert len(found()) == 1
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX tests_email")
    indexed(Upper("email"))
    assert found() == []


def test_a_database_that_nobody_tested_is_reported(monkeypatch):
    monkeypatch.setattr(connection, "vendor", "oracle")
    (message,) = found()
    assert (message.id, message.is_serious()) == ("sessions_ext.W016", False)
    assert "'default'" in message.msg
    assert "'oracle'" in message.msg


@pytest.mark.parametrize("urls", ["tests.in_languages", "tests.urls"])
@pytest.mark.parametrize("login_url", ["/login/", "/login"])
def test_a_login_page_that_django_redirects_to_is_no_fault(urls, login_url):
    assert found(ROOT_URLCONF=urls, LOGIN_URL=login_url) == []
    assert ids(ROOT_URLCONF=urls, LOGIN_URL=f"/nowhere{login_url}") == ["W008"]


@pytest.mark.django_db
def test_no_database_is_said_to_have_lesser_indexes():
    messages = run_checks(tags=["models"], databases=["default"])
    assert [message for message in messages if "sessions_ext" in message.obj._meta.app_label] == []


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_a_receiver_of_deletes_in_all_models_is_reported(signal):
    def receive(**kwargs):
        """Hears of every row of every table."""

    signal.connect(receive)
    try:
        (message,) = found()
    finally:
        signal.disconnect(receive)
    assert message.id == "sessions_ext.W005"
    assert "all models" in message.msg
    assert "sender=" in message.hint
    assert found() == []


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("MAX_SESION", "MAX_SESSIONS"),
        ("max_sessions", "MAX_SESSIONS"),
        ("IDLE_TIME", "IDLE_TIMEOUT"),
        ("PROXIES", "TRUSTED_PROXIES"),
        ("SIGNINGKEY", "SIGNING_KEY"),
        ("RETENTION", "REVOKED_RETENTION"),
    ],
)
def test_an_unknown_key_names_the_nearest(key, nearest):
    (message,) = found(SESSIONS_EXT={key: "hush"})
    assert repr(key) in message.msg
    assert repr(nearest) in message.hint
    assert "hush" not in str(message)


def test_a_key_that_resembles_none_is_still_reported():
    assert ids(SESSIONS_EXT={"": 1, 7: 1}) == ["E001", "E001"]


def test_every_wrong_value_is_reported_and_no_signing_key_is_shown():
    messages = found(SESSIONS_EXT={"LIFETIME": None, "IDLE_TIMEOUT": "1 h", "SIGNING_KEY": b"hush"})
    assert [message.id for message in messages] == ["sessions_ext.E002"] * 3
    assert "hush" not in str(messages)


@pytest.mark.parametrize("value", [None, [], "LIFETIME"])
def test_what_is_not_a_dict_is_reported_once(value):
    (message,) = found(SESSIONS_EXT=value)
    assert (message.id, message.msg) == ("sessions_ext.E002", "SESSIONS_EXT must be a dict.")


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        ([SESSIONS, AUTH, OURS], []),
        ([SESSIONS, AUTH, f"{__name__}.QuieterMiddleware"], []),
        ([SESSIONS, f"{__name__}.QuieterMiddleware", AUTH], ["E004"]),
        ([SESSIONS, OURS], ["E004"]),
        ([SESSIONS, AUTH, "django.contrib.messages.middleware.MessageMiddleware", OURS], []),
        (["no.such.Middleware", SESSIONS, AUTH, "nowhere", OURS, "tests.no_such"], []),
        (["builtins.len", SESSIONS, AUTH, OURS], []),
        ([SESSIONS, AUTH, "django.contrib.auth.middleware.RemoteUserMiddleware", OURS], ["W006"]),
        ([], ["E003"]),
    ],
)
def test_the_middleware_stands_after_authentication(middleware, expected):
    assert ids(MIDDLEWARE=middleware) == expected


@pytest.mark.parametrize(
    ("engine", "expected"),
    [("db", ["E006"]), ("cached_db", ["E006"]), ("cache", []), ("file", []), ("signed_cookies", [])],
)
@modify_settings(INSTALLED_APPS={"remove": "django.contrib.sessions"})
def test_the_sessions_app_is_needed_by_the_engines_with_a_table(engine, expected):
    assert ids(SESSION_ENGINE=ENGINE + engine) == expected


@pytest.mark.parametrize("setting", ["CLIENT_IP", "DEVICE_INFO", "LOCATION", "LOGIN_HOOK", "MAX_SESSIONS"])
@pytest.mark.parametrize("path", ["", "nodots", "no.such.module", "django.no_such_name", "django.VERSION"])
def test_a_path_to_nothing_callable_is_reported(setting, path):
    (message,) = found(SESSIONS_EXT={setting: path})
    assert message.id == "sessions_ext.E008"
    assert repr(setting) in message.msg
    assert repr(path) in message.msg


@pytest.mark.parametrize(
    ("path", "expected"),
    [("no.such.callable", ["E008"]), ("no-such-page", []), ("/sso/login.html", []), ("builtins.len", [])],
)
def test_where_people_confirm_is_a_page_or_a_callable_that_is_there(path, expected):
    assert ids(SESSIONS_EXT={"REAUTHENTICATE_URL": path}) == expected


def test_an_observer_that_is_not_there_is_reported():
    (message,) = found(SESSIONS_EXT={"OBSERVERS": ["sessions_ext.observers.network_changed", "no.such"]})
    assert message.id == "sessions_ext.E008"
    assert "'no.such'" in message.msg


@pytest.mark.parametrize("setting", ["IS_ACTIVITY", "LOGIN_HOOK"])
def test_an_async_function_is_reported_since_nobody_would_await_it(setting):
    assert ids(SESSIONS_EXT={setting: "sessions_ext.tokens.alogin"}) == ["E008"]


@pytest.mark.parametrize("path", [".relative", "..up"])
def test_a_relative_path_is_reported(path):
    assert ids(SESSIONS_EXT={"LOCATION": path}) == ["E008"]


def test_a_project_without_the_auth_app_is_told_so():
    project = (
        "import django; from django.conf import settings; from django.core.checks import run_checks;"
        "apps = ['django.contrib.contenttypes', 'django.contrib.sessions', 'sessions_ext'];"
        "settings.configure(INSTALLED_APPS=apps);"
        "django.setup(); print([message.id for message in run_checks(tags=['sessions_ext'])])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    run = subprocess.run([sys.executable, "-c", project], capture_output=True, text=True, env=environment)
    assert "sessions_ext.E005" in run.stdout, run.stderr
