"""The demo as browsers of the tests see it: in the language that each asks for, with pages that need a fresh
login and make one old, with one place for Grace, and with passwords that take no time."""

from example_project.settings import *  # noqa: F403
from example_project.settings import MIDDLEWARE as OF_DEMO
from example_project.settings import SESSIONS_EXT as DEMO

MIDDLEWARE = [*OF_DEMO, "django.middleware.locale.LocaleMiddleware"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SESSIONS_EXT = {**DEMO, "MAX_SESSIONS": "tests.stepping_up_demo.places", "ON_LIMIT": "deny"}
ROOT_URLCONF = "tests.stepping_up_demo"
