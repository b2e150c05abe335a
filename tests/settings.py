"""PostgreSQL: DATABASE_URL, or a server of the tests' own. For SQLite see settings_sqlite.py.
USER_MODEL picks the primary key of the users: int, uuid, text, or child, that of another table."""

import os
import tempfile

import dj_database_url
import django

from tests import databases

SECRET_KEY = "only for tests, and long enough for every check that Django has"
USE_TZ = True
DATABASES = {
    "default": dj_database_url.parse(databases.url()),
    "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
DATABASES["default"]["TEST"] = {"NAME": f"test_sessions_ext_{os.getpid()}"}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "axes",
    "sessions_ext",
    "tests.users",
    "tests.notes",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "sessions_ext.middleware.UserSessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
AUTH_USER_MODEL = {
    "int": "auth.User",
    "uuid": "users.UUIDUser",
    "text": "users.TextUser",
    "child": "users.Member",
}[os.environ.get("USER_MODEL", "int")]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.urls"
LOGIN_URL = "/login/"
AXES_ENABLED = False
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
STATIC_URL = "/static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
_session_files = tempfile.TemporaryDirectory(prefix="sessions_ext_")
SESSION_FILE_PATH = _session_files.name
