"""A site that has come from other packages with sessions of their own, and still has their apps:
pytest --ds=tests.company.coming_from.settings tests/company/coming_from"""

import warnings

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import user_sessions  # noqa: F401  (it imports pkg_resources, which warns)

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "user_sessions",
    "qsessions",
    "allauth",
    "allauth.account",
    "allauth.usersessions",
]
MIDDLEWARE = [*MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"]
SILENCED_SYSTEM_CHECKS = ["fields.E304"]  # two of the packages call a user's sessions session_set
SESSION_ENGINE = "sessions_ext.engines.db"
ROOT_URLCONF = "tests.company.coming_from.urls"
ALLOWED_HOSTS = ["testserver"]
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/seen/"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
