"""SESSIONS_EXT: its defaults, what it takes, and how it says no."""

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from sessions_ext.conf import NAMES, conf

DEFAULTS = {
    "LIFETIME": timedelta(days=30),
    "IDLE_TIMEOUT": None,
    "TOUCH_INTERVAL": timedelta(seconds=60),
    "MAX_SESSIONS": None,
    "ON_LIMIT": "revoke_oldest",
    "REVOKED_RETENTION": timedelta(days=30),
    "EXPIRED_RETENTION": timedelta(0),
    "CACHE": None,
    "ONE_QUERY": True,
    "DISTRIBUTED": False,
    "TRUSTED_PROXIES": (),
    "CLIENT_IP": "sessions_ext.clients.remote_address",
    "DEVICE_INFO": "sessions_ext.clients.describe_device",
    "LOCATION": "sessions_ext.clients.locate",
    "LOGIN_HOOK": None,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_GRACE": timedelta(seconds=10),
    "SOCKET_RECHECK": timedelta(seconds=30),
    "SIGNING_KEY": None,
    "VERDICT_TTL": timedelta(seconds=30),
    "SUSPICION_THRESHOLD": None,
    "OBSERVERS": ("sessions_ext.observers.refresh_replayed",),
    "REAUTHENTICATE_AFTER": timedelta(minutes=15),
    "REAUTHENTICATE_URL": None,
    "API_REAUTHENTICATES": True,
    "NEW_DEVICE_EMAIL": False,
    "TELL_WHY": True,
    "IMPERSONATOR": None,
    "IS_ACTIVITY": None,
    "IMPERSONATION_LIFETIME": timedelta(hours=1),
}
DURATIONS = [name for name, default in DEFAULTS.items() if isinstance(default, timedelta)] + ["IDLE_TIMEOUT"]
MAY_BE_ZERO = {
    "TOUCH_INTERVAL",
    "REVOKED_RETENTION",
    "EXPIRED_RETENTION",
    "REFRESH_GRACE",
    "REAUTHENTICATE_AFTER",
}
SWITCHES = ("API_REAUTHENTICATES", "DISTRIBUTED", "NEW_DEVICE_EMAIL", "ONE_QUERY", "TELL_WHY")
MAY_BE_NONE = {"IDLE_TIMEOUT", "REAUTHENTICATE_AFTER"}

RIGHT = [
    ("MAX_SESSIONS", 0),
    ("MAX_SESSIONS", 5),
    ("MAX_SESSIONS", "project.limits.for_user"),
    ("ON_LIMIT", "revoke_idlest"),
    ("ON_LIMIT", "deny"),
    ("CACHE", "default"),
    ("TRUSTED_PROXIES", 0),
    ("TRUSTED_PROXIES", 2),
    ("TRUSTED_PROXIES", ["10.0.0.0/8"]),
    ("TRUSTED_PROXIES", ("10.0.0.1", "2001:db8::/32")),
    ("CLIENT_IP", "project.clients.ip"),
    ("DEVICE_INFO", "project.clients.device"),
    ("LOCATION", "project.clients.place"),
    ("LOCATION", None),
    ("LOGIN_HOOK", "project.login.second_factor"),
    ("IMPERSONATOR", "project.support.who_acts"),
    ("IS_ACTIVITY", "project.activity.is_activity"),
    ("SIGNING_KEY", "a key"),
    ("SUSPICION_THRESHOLD", 1),
    ("OBSERVERS", []),
    ("OBSERVERS", ("project.observers.odd",)),
    ("REAUTHENTICATE_AFTER", None),
    ("REAUTHENTICATE_URL", "login"),
    ("API_REAUTHENTICATES", False),
    ("TELL_WHY", False),
    ("ONE_QUERY", False),
    *((name, True) for name in SWITCHES),
]

NOT_A_DURATION = "a timedelta or a number of seconds"
WRONG = [
    *((name, value, NOT_A_DURATION) for name in DURATIONS for value in ("60", True, [60])),
    *((name, value, NOT_A_DURATION) for name in DURATIONS for value in (float("nan"), float("inf"), 10**30)),
    *((name, None, NOT_A_DURATION) for name in DURATIONS if name not in MAY_BE_NONE),
    *((name, 0, "a duration above zero") for name in DURATIONS if name not in MAY_BE_ZERO),
    *((name, timedelta(-1), "a duration above zero") for name in DURATIONS if name not in MAY_BE_ZERO),
    *((name, -0.5, "a duration of zero or more") for name in sorted(MAY_BE_ZERO)),
    ("MAX_SESSIONS", -1, "0 or more"),
    ("MAX_SESSIONS", 1.5, "an int, None or a dotted path to a callable, not float"),
    ("MAX_SESSIONS", True, "an int, None or a dotted path to a callable, not bool"),
    ("MAX_SESSIONS", max, "an int, None or a dotted path to a callable, not builtin_function_or_method"),
    ("ON_LIMIT", "drop", "one of 'revoke_oldest', 'revoke_idlest', 'deny'"),
    ("ON_LIMIT", None, "one of 'revoke_oldest', 'revoke_idlest', 'deny'"),
    ("ON_LIMIT", ["deny"], "one of 'revoke_oldest', 'revoke_idlest', 'deny'"),
    ("LIFETIME", timedelta.max, "a duration of at most 100 years"),
    ("IDLE_TIMEOUT", 1e11, "a duration of at most 100 years"),
    ("CACHE", 1, "the alias of a cache, not int"),
    ("CACHE", {"BACKEND": "x"}, "the alias of a cache, not dict"),
    *(
        ("TRUSTED_PROXIES", value, "the number of proxies or a list of their addresses or networks")
        for value in (-1, True, None, 1.0, "10.0.0.1", [1], {"10.0.0.1"}, ["proxy.local"], ["10.0.0.0/33"])
    ),
    ("CLIENT_IP", None, "a dotted path, not NoneType"),
    ("CLIENT_IP", max, "a dotted path, not builtin_function_or_method"),
    ("DEVICE_INFO", None, "a dotted path, not NoneType"),
    ("LOCATION", 1, "a dotted path, not int"),
    ("LOGIN_HOOK", ["x"], "a dotted path, not list"),
    ("IS_ACTIVITY", True, "a dotted path, not bool"),
    ("IMPERSONATOR", max, "a dotted path, not builtin_function_or_method"),
    ("SIGNING_KEY", b"hush", "a str or None, not bytes"),
    ("SIGNING_KEY", ["hush"], "a str or None, not list"),
    *(("SUSPICION_THRESHOLD", value, "an int of 1 or more, or None") for value in (0, -1, True, 1.5, "3")),
    *(("OBSERVERS", value, "a list of dotted paths") for value in (None, "project.odd", [max], [1])),
    ("REAUTHENTICATE_URL", 1, "a path, the name of a URL or a dotted path, or None, not int"),
    *((name, value, "True or False, not ") for name in SWITCHES for value in (None, 1, "yes")),
]


@pytest.mark.parametrize("name", NAMES)
@override_settings(SESSIONS_EXT={})
def test_every_setting_has_its_documented_default(name):
    assert getattr(conf, name) == DEFAULTS[name]


def test_the_dict_itself_is_optional(settings):
    if hasattr(settings, "SESSIONS_EXT"):
        del settings.SESSIONS_EXT
    assert {name: getattr(conf, name) for name in NAMES} == DEFAULTS


def test_override_settings_is_live():
    with override_settings(SESSIONS_EXT={"LIFETIME": timedelta(hours=1)}):
        assert timedelta(hours=1) == conf.LIFETIME
        with override_settings(SESSIONS_EXT={"LIFETIME": timedelta(hours=2)}):
            assert timedelta(hours=2) == conf.LIFETIME
        assert timedelta(hours=1) == conf.LIFETIME
    assert timedelta(days=30) == conf.LIFETIME


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(
    ("value", "duration"),
    [(90, timedelta(seconds=90)), (0.25, timedelta(milliseconds=250)), (timedelta(hours=2),) * 2],
)
def test_a_duration_is_a_timedelta_or_seconds(name, value, duration):
    with override_settings(SESSIONS_EXT={name: value}):
        assert getattr(conf, name) == duration


@pytest.mark.parametrize("name", sorted(MAY_BE_ZERO))
def test_some_durations_may_be_zero(name):
    with override_settings(SESSIONS_EXT={name: 0}):
        assert getattr(conf, name) == timedelta(0)


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_a_right_value_is_taken_as_it_stands(name, value):
    with override_settings(SESSIONS_EXT={name: value}):
        assert getattr(conf, name) == value


@pytest.mark.parametrize(("name", "value", "text"), WRONG)
def test_a_wrong_value_is_refused_by_name(name, value, text):
    with override_settings(SESSIONS_EXT={name: value}), pytest.raises(ImproperlyConfigured) as caught:
        getattr(conf, name)
    assert str(caught.value).startswith(f"SESSIONS_EXT[{name!r}] must be {text}")


def test_each_setting_refuses_something():
    assert {name for name, _, _ in WRONG} == set(NAMES)


@pytest.mark.parametrize("key", [b"hush-hush", ["hush-hush"], {"key": "hush-hush"}, ("hush-hush",)])
def test_a_refused_signing_key_is_not_shown(key):
    with override_settings(SESSIONS_EXT={"SIGNING_KEY": key}), pytest.raises(ImproperlyConfigured) as caught:
        _ = conf.SIGNING_KEY
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(caught.value.__cause__)


@pytest.mark.parametrize("value", [None, [], "LIFETIME", [("LIFETIME", 60)]])
def test_what_is_not_a_dict_is_refused(value):
    with override_settings(SESSIONS_EXT=value), pytest.raises(ImproperlyConfigured, match="must be a dict"):
        _ = conf.LIFETIME
