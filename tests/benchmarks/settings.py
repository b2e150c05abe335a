"""A small site for the benchmarks. BENCH_SIDE names the one of SIDES that the process is."""

import os

import dj_database_url

from tests import databases

SECRET_KEY = "only for benchmarks, and long enough for every check that Django has"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
DATABASES = {"default": dj_database_url.parse(databases.url(), conn_max_age=None)}
DATABASES["default"]["TEST"] = {"NAME": f"bench_sessions_ext_{os.getpid()}"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.benchmarks.views"
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
REDIS = {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": os.environ.get("BENCH_REDIS_URL", ""),
    "KEY_PREFIX": str(os.getpid()),
}

DJANGO = ["django.contrib.auth", "django.contrib.contenttypes"]
SESSIONS = "django.contrib.sessions"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"


def stock(engine="db", cache=LOCMEM):
    return {
        "INSTALLED_APPS": [*DJANGO, SESSIONS],
        "MIDDLEWARE": [SESSION, AUTH],
        "SESSION_ENGINE": f"django.contrib.sessions.backends.{engine}",
        "CACHES": {"default": cache},
    }


def ours(engine="db", cache=LOCMEM, **conf):
    return stock(engine, cache) | {
        "INSTALLED_APPS": [*DJANGO, SESSIONS, "sessions_ext"],
        "MIDDLEWARE": [SESSION, AUTH, "sessions_ext.middleware.UserSessionMiddleware"],
        "SESSIONS_EXT": conf,
    }


def allauth(**conf):
    return stock() | conf | {
        "INSTALLED_APPS": [*DJANGO, SESSIONS, "allauth", "allauth.account", "allauth.usersessions"],
        "MIDDLEWARE": [
            SESSION,
            AUTH,
            "allauth.account.middleware.AccountMiddleware",
            "allauth.usersessions.middleware.UserSessionsMiddleware",
        ],
    }  # fmt: skip


def prepared(side):
    """With statements that psycopg prepares, which Django leaves off for the sake of poolers."""
    options = DATABASES["default"]["OPTIONS"] | {"server_side_binding": True, "prepare_threshold": 5}
    return side | {"DATABASES": {"default": DATABASES["default"] | {"OPTIONS": options}}}


SIDES = {
    "stock db": stock(),
    "stock db, prepared": prepared(stock()),
    "stock cached_db, locmem": stock("cached_db"),
    "stock cached_db, redis": stock("cached_db", REDIS),
    "stock signed_cookies": stock("signed_cookies"),
    "qsessions": stock() | {
        "INSTALLED_APPS": [*DJANGO, "qsessions"],
        "MIDDLEWARE": ["qsessions.middleware.SessionMiddleware", AUTH],
        "SESSION_ENGINE": "qsessions.backends.db",
    },
    "user-sessions": stock() | {
        "INSTALLED_APPS": [*DJANGO, "user_sessions"],
        "MIDDLEWARE": ["user_sessions.middleware.SessionMiddleware", AUTH],
        "SESSION_ENGINE": "user_sessions.backends.db",
    },
    "allauth": allauth(),
    "allauth, tracking": allauth(USERSESSIONS_TRACK_ACTIVITY=True),
    "knox, token": {"INSTALLED_APPS": [*DJANGO, "rest_framework", "knox"], "MIDDLEWARE": []},
    # It looks at its list for refresh tokens alone: an access token is good until it expires.
    "simplejwt, blacklist app": {
        "INSTALLED_APPS": [*DJANGO, "rest_framework", "rest_framework_simplejwt.token_blacklist"],
        "MIDDLEWARE": [],
    },
    "ours db": ours(),
    "ours db, prepared": prepared(ours()),
    "ours signed_cookies": ours("signed_cookies"),
    "ours db, verdict in locmem": ours(CACHE="default"),
    "ours cached_db, verdict in locmem": ours("cached_db", CACHE="default"),
    "ours cached_db, verdict in redis": ours("cached_db", REDIS, CACHE="default"),
    "ours bearer, plain view": ours() | {"MIDDLEWARE": []},
    "ours bearer, ninja": ours() | {"MIDDLEWARE": []},
    "ours bearer, DRF": ours() | {
        "INSTALLED_APPS": [*DJANGO, SESSIONS, "rest_framework", "sessions_ext"],
        "MIDDLEWARE": [],
    },
    "ours bearer, verdict in locmem": ours(CACHE="default") | {"MIDDLEWARE": []},
    "stock db, async": stock(),
    "ours db, async": ours(),
    "API, stock": ours() | {"MIDDLEWARE": [SESSION, AUTH], "ROOT_URLCONF": "tests.benchmarks.site"},
    "API, ours": ours() | {"ROOT_URLCONF": "tests.benchmarks.site"},
}  # fmt: skip
globals().update(SIDES[os.environ.get("BENCH_SIDE", "ours db")])
