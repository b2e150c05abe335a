"""A project without some of what projects have, started and used in a process of its own:

    python -m tests.projects.minimal cookies|tokens APP_OR_PACKAGE ...

Apps that are named are not installed, and packages cannot be imported. Prints what somebody with
two browsers, or two token pairs, got to see, as JSON."""

import json
import sys
from importlib.abc import MetaPathFinder

import django
from django.conf import settings
from django.core.management import call_command
from django.urls import include, path

APPS = ["admin", "auth", "contenttypes", "messages", "sessions", "staticfiles"]
MIDDLEWARE = {
    "": "django.contrib.sessions.middleware.SessionMiddleware",
    "auth": "django.contrib.auth.middleware.AuthenticationMiddleware",
    "sessions_ext": "sessions_ext.middleware.UserSessionMiddleware",
    "messages": "django.contrib.messages.middleware.MessageMiddleware",
}
PROCESSORS = {
    "": "django.template.context_processors.request",
    "auth": "django.contrib.auth.context_processors.auth",
    "messages": "django.contrib.messages.context_processors.messages",
}


class Missing(MetaPathFinder):
    """Lets nobody import the named packages."""

    def __init__(self, names):
        self.names = set(names)

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def start(kind, without):
    """Set the project up and migrate it; what `check` warns of ends the process."""
    sys.meta_path.insert(0, Missing(set(without) - set(APPS)))
    with_cookies = kind == "cookies"
    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[*(f"django.contrib.{app}" for app in APPS if app not in without), "sessions_ext"],
        LOGIN_REDIRECT_URL="/devices/",
        LOGIN_URL="/login/",
        MIDDLEWARE=[at for app, at in MIDDLEWARE.items() if app not in without] if with_cookies else [],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="only for tests, and long enough for every check that Django has",
        SESSION_ENGINE="django.contrib.sessions.backends."
        + ("signed_cookies" if "sessions" in without else "db"),
        SILENCED_SYSTEM_CHECKS=[] if with_cookies else ["sessions_ext.E003"],
        STATIC_URL=None if "staticfiles" in without else "/static/",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [at for app, at in PROCESSORS.items() if app not in without]
                },
            }
        ],
    )
    django.setup()
    if with_cookies:
        add_urls(with_admin="admin" not in without)
    call_command("check", fail_level="WARNING", stdout=sys.stderr)
    call_command("migrate", verbosity=0)


def visit():
    """Two browsers of one person: one signs the other out on "Your devices"."""
    from django.test import Client

    here, there = Client(headers={"user-agent": "here"}), Client(headers={"user-agent": "there"})
    logins = [one.post("/login/", {"username": "ada", "password": "secret"}) for one in (here, there)]
    page = here.get("/devices/")
    other = there.get("/devices/").wsgi_request.user_session
    revoked = here.post(f"/devices/{other.pk}/sign-out/")
    return {
        "logins": [login.url for login in logins],
        "sign-out buttons": page.content.count(b"/sign-out/"),
        "revoke": revoked.url,
        "here": here.get("/devices/").status_code,
        "there": there.get("/devices/").url,
    }


def call():
    """Two token pairs of one person: one is revoked, and the other renewed."""
    from django.contrib.auth import authenticate
    from django.test import RequestFactory

    from sessions_ext import tokens

    request = RequestFactory().post("/")
    user = authenticate(request, username="ada", password="secret")
    here, there = (tokens.login(request, user) for _ in range(2))
    return {
        "revoke": tokens.verify(there.access_token).revoke("stolen"),
        "here": tokens.verify(tokens.refresh(here.refresh_token).access_token).user.username,
        "there": tokens.verify(there.access_token),
        "refresh": tokens.refresh(there.refresh_token),
    }


urlpatterns = []


def add_urls(with_admin):
    from django.contrib.auth.views import LoginView

    urlpatterns.append(path("devices/", include("sessions_ext.urls")))
    urlpatterns.append(path("login/", LoginView.as_view()))
    if with_admin:
        from django.contrib import admin

        urlpatterns.append(path("admin/", admin.site.urls))


def main(kind, *without):
    start(kind, without)
    from django.contrib.auth import get_user_model

    get_user_model().objects.create_user("ada", password="secret")
    print(json.dumps(visit() if kind == "cookies" else call()))


if __name__ == "__main__":
    # By its own name: the URLconf is to be this very module.
    from tests.projects import minimal

    minimal.main(*sys.argv[1:])
