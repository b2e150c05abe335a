"""Run by itself, in an environment that holds nothing but the wheel and what it requires."""

import importlib.resources
import sys

import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    SECRET_KEY="only for this check, and long enough for every check that Django has",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "sessions_ext",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "sessions_ext.middleware.UserSessionMiddleware",
    ],
)
django.setup()
call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
call_command("cleanup_sessions")

package = importlib.resources.files("sessions_ext")
wanted = (
    "py.typed",
    "migrations/0001_initial.py",
    "templates/sessions_ext/list.html",
    "static/sessions_ext/sessions.css",
    "locale/de/LC_MESSAGES/django.mo",
    "static/sessions_ext/admin.css",
    "templates/admin/sessions_ext/usersession/overview.html",
)
missing = [name for name in wanted if not package.joinpath(name).is_file()]
stray = {"tests", "example_project", "factory", "ninja", "jwt"} & set(sys.modules)
if missing or stray:
    sys.exit(f"missing from the wheel: {missing}; imported without need: {stray}")
