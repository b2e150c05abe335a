"""The same site before it came here: with one of the packages, as its documentation says, and without
this app."""

import os

from tests.company.coming_from import settings
from tests.company.coming_from.settings import *  # noqa: F403

PACKAGE, _, SESSION_ENGINE = os.environ["SITE_BEFORE"].partition(":")
PACKAGES = {
    "user_sessions": ["user_sessions"],
    "qsessions": ["qsessions"],
    "allauth.usersessions": [
        "django.contrib.sessions",
        "allauth",
        "allauth.account",
        "allauth.usersessions",
    ],
}
NOT_YET = {
    "django.contrib.sessions",
    "sessions_ext",
    "axes",
    *(app for apps in PACKAGES.values() for app in apps),
}
INSTALLED_APPS = [*(app for app in settings.INSTALLED_APPS if app not in NOT_YET), *PACKAGES[PACKAGE]]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware"
    if PACKAGE == "allauth.usersessions"
    else f"{PACKAGE}.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    *(
        [
            "allauth.account.middleware.AccountMiddleware",
            "allauth.usersessions.middleware.UserSessionsMiddleware",
        ]
        if PACKAGE == "allauth.usersessions"
        else []
    ),
]
if PACKAGE != "allauth.usersessions":
    AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
