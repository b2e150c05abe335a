"""The test settings with the packages that real sites have beside the app:
pytest --ds=tests.company.settings tests/company"""

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "allauth.headless",
    "channels",
    "hijack",
    "impersonate",
    "loginas",
    "mozilla_django_oidc",
    "django_otp",
    "django_otp.plugins.otp_email",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
]
MIDDLEWARE = [*MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
    "mozilla_django_oidc.auth.OIDCAuthenticationBackend",
]
# Of Redis, for a server in a process of its own; the tests set their own.
CHANNEL_LAYERS = (
    {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [os.environ["LAYER_URL"]]},
        }
    }
    if "LAYER_URL" in os.environ
    else {}
)
SESSION_ENGINE = os.environ.get("SESSION_ENGINE", "django.contrib.sessions.backends.db")
ROOT_URLCONF = "tests.company.urls"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/seen/"

ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
HEADLESS_CLIENTS = ["app", "browser"]
MFA_SUPPORTED_TYPES = ["recovery_codes", "totp"]
SOCIALACCOUNT_LOGIN_ON_GET = True

# The addresses of the provider are known when it runs.
OIDC_RP_CLIENT_ID, OIDC_RP_CLIENT_SECRET = "site", "the secret of the site"
OIDC_RP_SIGN_ALGO = "RS256"
OIDC_OP_AUTHORIZATION_ENDPOINT = OIDC_OP_TOKEN_ENDPOINT = OIDC_OP_USER_ENDPOINT = OIDC_OP_JWKS_ENDPOINT = "-"
