from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, get_resolver, reverse
from django.utils.module_loading import import_string

from .cleanup import has_receivers_of_all_models
from .conf import LOGIN_URL_NAME, NAMES, conf, is_dotted

PATHS = ("CLIENT_IP", "DEVICE_INFO", "IMPERSONATOR", "IS_ACTIVITY", "LOCATION", "LOGIN_HOOK", "MAX_SESSIONS")
# Apps whose users may have to give more than a password.
ASK_FOR_MORE = ("allauth.mfa", "django_otp")
# Apps with which staff log in as a user.
LOG_IN_AS_USERS = ("hijack", "loginas")
# Apps that open sessions with SESSION_ENGINE themselves.
READ_SESSIONS_THEMSELVES = ("channels", "daphne", "allauth.headless", "allauth.usersessions")


@register("sessions_ext")
def check_keys(**kwargs: Any) -> Iterable[CheckMessage]:
    configured = getattr(settings, "SESSIONS_EXT", {})
    for key in configured if isinstance(configured, dict) else ():
        if key not in NAMES:
            nearest = get_close_matches(str(key).upper(), NAMES, n=1, cutoff=0.0)[0]
            yield Error(
                f"SESSIONS_EXT has the unknown key {key!r}.",
                hint=f"Did you mean {nearest!r}?",
                id="sessions_ext.E001",
            )


@register("sessions_ext")
def check_types(**kwargs: Any) -> Iterable[CheckMessage]:
    for text in sorted({str(error) for name in NAMES if (error := _error_of(name))}):
        yield Error(text, id="sessions_ext.E002")


@register("sessions_ext")
def check_middleware(**kwargs: Any) -> Iterable[CheckMessage]:
    if not apps.is_installed("django.contrib.auth"):
        return  # check_auth says so, and nothing below can be imported
    from django.contrib.auth.middleware import AuthenticationMiddleware

    from .middleware import UserSessionMiddleware

    ours = _position(UserSessionMiddleware)
    if ours is None:
        yield Error(
            "UserSessionMiddleware is not in MIDDLEWARE, so a revoked browser stays signed in.",
            hint="Add 'sessions_ext.middleware.UserSessionMiddleware' after AuthenticationMiddleware."
            " Silence this if the project uses tokens only.",
            id="sessions_ext.E003",
        )
        return
    theirs = _position(AuthenticationMiddleware)
    if theirs is None or theirs > ours:
        yield Error(
            "UserSessionMiddleware must come after AuthenticationMiddleware in MIDDLEWARE.",
            hint="Put it right after 'django.contrib.auth.middleware.AuthenticationMiddleware'.",
            id="sessions_ext.E004",
        )


@register("sessions_ext")
def check_auth(**kwargs: Any) -> Iterable[CheckMessage]:
    if not apps.is_installed("django.contrib.auth"):
        yield Error("'django.contrib.auth' is not in INSTALLED_APPS.", id="sessions_ext.E005")


@register("sessions_ext")
def check_sessions(**kwargs: Any) -> Iterable[CheckMessage]:
    in_database = settings.SESSION_ENGINE in (
        "django.contrib.sessions.backends.db",
        "django.contrib.sessions.backends.cached_db",
    )
    if in_database and not apps.is_installed("django.contrib.sessions"):
        yield Error(
            "'django.contrib.sessions' is not in INSTALLED_APPS, but SESSION_ENGINE needs its table.",
            id="sessions_ext.E006",
        )


@register("sessions_ext")
def check_touch_within_idle(**kwargs: Any) -> Iterable[CheckMessage]:
    idle, touch = _value("IDLE_TIMEOUT"), _value("TOUCH_INTERVAL")
    if idle and touch and touch >= idle:
        yield Error(
            "TOUCH_INTERVAL is not shorter than IDLE_TIMEOUT, so people are signed out while they work.",
            id="sessions_ext.E007",
        )


@register("sessions_ext")
def check_paths(**kwargs: Any) -> Iterable[CheckMessage]:
    named = [(name, _value(name)) for name in PATHS]
    elsewhere = _value("REAUTHENTICATE_URL") or ""
    named += [("REAUTHENTICATE_URL", elsewhere)] if is_dotted(elsewhere) else []
    for name, path in [*named, *(("OBSERVERS", path) for path in _value("OBSERVERS") or ())]:
        if not isinstance(path, str):
            continue
        found = imported(path)
        # A coroutine that nobody awaits is true, and refuses no login.
        if not callable(found) or iscoroutinefunction(found):
            yield Error(
                f"SESSIONS_EXT[{name!r}] is {path!r}, which is not an importable callable that is sync.",
                id="sessions_ext.E008",
            )


@register("sessions_ext")
def check_middleware_between(**kwargs: Any) -> Iterable[CheckMessage]:
    if not apps.is_installed("django.contrib.auth"):
        return
    from django.contrib.auth.middleware import AuthenticationMiddleware

    from .middleware import UserSessionMiddleware

    theirs, ours = _position(AuthenticationMiddleware), _position(UserSessionMiddleware)
    for path in settings.MIDDLEWARE[theirs + 1 : ours] if ours and theirs is not None else ():
        # Django's own use neither, except those that log in or demand a login.
        if imported(path) is None or (path.startswith("django.") and ".auth." not in path):
            continue
        yield checks.Warning(
            f"{path!r} comes between AuthenticationMiddleware and UserSessionMiddleware, so it works with a"
            " session and a user that are not verified yet.",
            hint="Put UserSessionMiddleware right after AuthenticationMiddleware.",
            id="sessions_ext.W006",
        )


@register("sessions_ext")
def check_engine(**kwargs: Any) -> Iterable[CheckMessage]:
    package, _, name = settings.SESSION_ENGINE.rpartition(".")
    readers = ", ".join(filter(apps.is_installed, READ_SESSIONS_THEMSELVES))
    if package == "django.contrib.sessions.backends" and readers:
        yield checks.Warning(
            f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}, which does not verify sessions, and"
            f" {readers} opens sessions with it: so it also reads the data of sessions that have ended.",
            hint=f"Set it to 'sessions_ext.engines.{name}'. This logs nobody out.",
            id="sessions_ext.W007",
        )


@register("sessions_ext")
def check_login_url(**kwargs: Any) -> Iterable[CheckMessage]:
    if not apps.is_installed("django.contrib.auth"):
        return
    from .views import usable_url

    try:
        reverse("sessions_ext:list")
    except (NoReverseMatch, AttributeError):  # the latter of a project without a ROOT_URLCONF
        return
    if usable_url(settings.LOGIN_URL) is None:
        yield checks.Warning(
            f'LOGIN_URL is {settings.LOGIN_URL!r}, which is not a page of this site. "Your devices" sends'
            " people there to sign in.",
            hint="Set LOGIN_URL to the path or the name of your login page.",
            id="sessions_ext.W008",
        )


@register("sessions_ext")
def check_within_lifetime(**kwargs: Any) -> Iterable[CheckMessage]:
    longest = _value("LIFETIME")
    for key, tag in (("IDLE_TIMEOUT", "sessions_ext.W001"), ("ACCESS_TOKEN_LIFETIME", "sessions_ext.W002")):
        value = _value(key)
        if value and longest and value > longest:
            yield checks.Warning(f"{key} is longer than LIFETIME, which ends every session first.", id=tag)


@register("sessions_ext")
def check_signing_key(**kwargs: Any) -> Iterable[CheckMessage]:
    key = _value("SIGNING_KEY")
    if key is not None and len(key) < 32:  # RFC 7518, 3.2
        yield checks.Warning(
            "SIGNING_KEY is shorter than 32 characters, so tokens could be forged.",
            hint="Generate one with django.core.management.utils.get_random_secret_key().",
            id="sessions_ext.W003",
        )


@register("sessions_ext")
def check_cache(**kwargs: Any) -> Iterable[CheckMessage]:
    alias = _value("CACHE")
    if alias is None:
        return
    if alias not in settings.CACHES:
        yield Error(f"SESSIONS_EXT['CACHE'] is {alias!r}, which is not in CACHES.", id="sessions_ext.E009")
    elif settings.CACHES[alias]["BACKEND"].endswith((".LocMemCache", ".FileBasedCache")):
        yield checks.Warning(
            "CACHE names a cache that not all processes and machines share, so a session that is"
            " revoked in one is accepted in another for up to VERDICT_TTL.",
            hint="Use Redis or Memcached.",
            id="sessions_ext.W004",
        )


@register("sessions_ext")
def check_receivers(**kwargs: Any) -> Iterable[CheckMessage]:
    if has_receivers_of_all_models():
        yield checks.Warning(
            "A receiver of pre_delete or post_delete is connected for all models, so cleanup_sessions has to"
            " load each row that it deletes, which is many times slower.",
            hint="Connect it with sender=… for the models that it is meant for.",
            id="sessions_ext.W005",
        )


@register("sessions_ext")
def check_login_hook(**kwargs: Any) -> Iterable[CheckMessage]:
    more = [app for app in ASK_FOR_MORE if apps.is_installed(app)]
    if apps.is_installed("allauth.account"):
        is_mandatory = getattr(settings, "ACCOUNT_EMAIL_VERIFICATION", "") == "mandatory"
        more += ["ACCOUNT_EMAIL_VERIFICATION"] if is_mandatory else []
    if not more or _value("LOGIN_HOOK") or not has_login_api():
        return
    ready = "django_otp" if more == ["django_otp"] else "allauth"
    yield checks.Warning(
        f"The API's login router asks for a password alone, though the site has {' and '.join(more)}.",
        hint=f"Set SESSIONS_EXT['LOGIN_HOOK'] to 'sessions_ext.login_hooks.{ready}' or to a callable of"
        " your own, or leave the router out.",
        id="sessions_ext.W009",
    )


@register("sessions_ext")
def check_impersonator(**kwargs: Any) -> Iterable[CheckMessage]:
    tools = [app for app in LOG_IN_AS_USERS if apps.is_installed(app)]
    if tools and not _value("IMPERSONATOR"):
        yield checks.Warning(
            f"With {' and '.join(tools)} staff log in as users, which counts as the users' own logins.",
            hint=f"Set SESSIONS_EXT['IMPERSONATOR'] to 'sessions_ext.impersonation.{tools[0]}' or your own.",
            id="sessions_ext.W012",
        )


def has_login_api() -> bool:
    """Whether the project has mounted the login router."""

    def mounts(patterns: Any) -> bool:
        return any(
            mounts(pattern.url_patterns)
            if hasattr(pattern, "url_patterns")
            else (pattern.name or "").endswith(LOGIN_URL_NAME)
            for pattern in patterns
        )

    return bool(getattr(settings, "ROOT_URLCONF", None)) and mounts(get_resolver().url_patterns)


def _position(middleware: type) -> int | None:
    for position, path in enumerate(settings.MIDDLEWARE):
        loaded = imported(path)
        if isinstance(loaded, type) and issubclass(loaded, middleware):
            return position
    return None


def imported(path: str) -> Any:
    """What the path names, or None. Django itself reports a middleware that it cannot load."""
    try:
        return import_string(path)
    except (ImportError, ValueError, TypeError):  # the latter two of a relative path
        return None


def _error_of(name: str) -> ImproperlyConfigured | None:
    try:
        getattr(conf, name)
    except ImproperlyConfigured as error:
        return error
    return None


def _value(name: str) -> Any:
    """The setting, or None where check_types reports it already."""
    return None if _error_of(name) else getattr(conf, name)
