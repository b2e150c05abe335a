"""The SESSIONS_EXT setting: one dict, read at every use so that override_settings works."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

LOGIN_URL_NAME = "sessions_ext_login"  # of the API's login, for the checks
CENTURY = timedelta(days=36525)  # with a longer one, a date could pass the last one that Python has


class Setting(Generic[T]):
    """One key of SESSIONS_EXT. Reading it returns the parsed value, or raises
    ImproperlyConfigured when the project gave it a wrong type."""

    def __init__(self, default: Any, parse: Callable[[Any], T]) -> None:
        self.default, self.parse = default, parse

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> T:
        configured = getattr(settings, "SESSIONS_EXT", {})
        if not isinstance(configured, dict):
            raise ImproperlyConfigured("SESSIONS_EXT must be a dict.")
        try:
            return self.parse(configured.get(self.name, self.default))
        except ValueError as error:
            raise ImproperlyConfigured(f"SESSIONS_EXT[{self.name!r}] must be {error}.") from None


# A parser's error names the type of a wrong value and never the value: that may be a secret.


def duration(value: Any, least: timedelta = timedelta(0)) -> timedelta:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except (OverflowError, ValueError):
            value = None
    if not isinstance(value, timedelta):
        raise ValueError("a timedelta or a number of seconds")
    if value < least:
        raise ValueError("a duration above zero" if least else "a duration of zero or more")
    if value > CENTURY:
        raise ValueError("a duration of at most 100 years")
    return value


def _positive_duration(value: Any) -> timedelta:
    return duration(value, least=timedelta.resolution)


def _of_type(description: str, *types: type) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if type(value) not in types:
            raise ValueError(f"{description}, not {type(value).__name__}")
        return value

    return parse


def _optional(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda value: None if value is None else parse(value)


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(map(repr, choices))}")
        return str(value)

    return parse


def _count(least: int, description: str) -> Callable[[Any], Any]:
    of_type = _of_type(description, int, str)

    def parse(value: Any) -> Any:
        if isinstance(of_type(value), int) and value < least:
            raise ValueError(f"{least} or more")
        return value

    return parse


def _threshold(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError("an int of 1 or more, or None")
    return value


def _proxies(value: Any) -> int | Sequence[str]:
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        with suppress(ValueError):
            for item in value:
                ip_network(item, strict=False)
            return value
    raise ValueError("the number of proxies or a list of their addresses or networks")


def _paths(value: Any) -> Sequence[str]:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return value
    raise ValueError("a list of dotted paths")


_path = _of_type("a dotted path", str)


def is_dotted(to: str) -> bool:
    """Whether REAUTHENTICATE_URL names a callable, and not a page."""
    return "." in to and "/" not in to


class Conf:
    LIFETIME = Setting(timedelta(days=30), _positive_duration)
    IDLE_TIMEOUT = Setting(None, _optional(_positive_duration))
    TOUCH_INTERVAL = Setting(timedelta(seconds=60), duration)
    IS_ACTIVITY: Setting[str | None] = Setting(None, _optional(_path))
    MAX_SESSIONS: Setting[int | str | None] = Setting(
        None, _optional(_count(0, "an int, None or a dotted path to a callable"))
    )
    ON_LIMIT = Setting("revoke_oldest", _one_of("revoke_oldest", "revoke_idlest", "deny"))
    REVOKED_RETENTION = Setting(timedelta(days=30), duration)
    EXPIRED_RETENTION = Setting(timedelta(0), duration)
    CACHE: Setting[str | None] = Setting(None, _optional(_of_type("the alias of a cache", str)))
    VERDICT_TTL = Setting(timedelta(seconds=30), _positive_duration)
    ONE_QUERY: Setting[bool] = Setting(True, _of_type("True or False", bool))
    DISTRIBUTED: Setting[bool] = Setting(False, _of_type("True or False", bool))
    TRUSTED_PROXIES = Setting((), _proxies)
    CLIENT_IP: Setting[str] = Setting("sessions_ext.clients.remote_address", _path)
    DEVICE_INFO: Setting[str] = Setting("sessions_ext.clients.describe_device", _path)
    LOCATION: Setting[str | None] = Setting("sessions_ext.clients.locate", _optional(_path))
    LOGIN_HOOK: Setting[str | None] = Setting(None, _optional(_path))
    ACCESS_TOKEN_LIFETIME = Setting(timedelta(minutes=15), _positive_duration)
    REFRESH_GRACE = Setting(timedelta(seconds=10), duration)
    SIGNING_KEY: Setting[str | None] = Setting(None, _optional(_of_type("a str or None", str)))
    SUSPICION_THRESHOLD = Setting(None, _optional(_threshold))
    OBSERVERS: Setting[Sequence[str]] = Setting(("sessions_ext.observers.refresh_replayed",), _paths)
    REAUTHENTICATE_AFTER = Setting(timedelta(minutes=15), _optional(duration))
    REAUTHENTICATE_URL: Setting[str | None] = Setting(
        None, _optional(_of_type("a path, the name of a URL or a dotted path, or None", str))
    )
    API_REAUTHENTICATES: Setting[bool] = Setting(True, _of_type("True or False", bool))
    SOCKET_RECHECK = Setting(timedelta(seconds=30), _positive_duration)
    IMPERSONATOR: Setting[str | None] = Setting(None, _optional(_path))
    IMPERSONATION_LIFETIME = Setting(timedelta(hours=1), _positive_duration)
    TELL_WHY: Setting[bool] = Setting(True, _of_type("True or False", bool))
    NEW_DEVICE_EMAIL: Setting[bool] = Setting(False, _of_type("True or False", bool))


conf = Conf()
NAMES = tuple(name for name in vars(Conf) if name.isupper())
