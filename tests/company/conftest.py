import urllib.parse
import urllib.request
from typing import Any

import pytest

from tests.company.provider import Provider, running_provider
from tests.patience import SECONDS
from tests.store.in_company.conftest import Browser, Engine

# Django's own engine behind the middleware, and verified ones.
ENGINES = [Engine("db", False), Engine("db", True), Engine("cached_db", True)]


@pytest.fixture(params=ENGINES, ids=str)
def engine(request, settings) -> Engine:
    settings.SESSION_ENGINE = request.param.path
    return request.param


@pytest.fixture
def browser() -> Browser:
    return Browser(is_async=False)


@pytest.fixture
def another():
    return lambda: Browser(is_async=False)


@pytest.fixture
def between(settings):
    """Put middleware between ours and the view."""

    def put(*paths: str) -> None:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, *paths]

    return put


@pytest.fixture
def provider(settings, monkeypatch):
    """An OpenID provider, which both allauth and mozilla-django-oidc are told of."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_provider() as provider:
        settings.OIDC_OP_AUTHORIZATION_ENDPOINT = f"{provider.address}/authorize"
        settings.OIDC_OP_TOKEN_ENDPOINT = f"{provider.address}/token"
        settings.OIDC_OP_USER_ENDPOINT = f"{provider.address}/userinfo"
        settings.OIDC_OP_JWKS_ENDPOINT = f"{provider.address}/jwks"
        app = {
            "provider_id": "loopback",
            "name": "Loopback",
            "client_id": "site",
            "secret": "the secret of the site",
            "settings": {"server_url": f"{provider.address}/.well-known/openid-configuration"},
        }
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app], "OAUTH_PKCE_ENABLED": True}}
        yield provider


@pytest.fixture
def axes(settings):
    settings.AXES_ENABLED = True
    settings.AXES_FAILURE_LIMIT = 3
    settings.AXES_HANDLER = "axes.handlers.database.AxesDatabaseHandler"
    settings.AUTHENTICATION_BACKENDS = [
        "axes.backends.AxesStandaloneBackend",
        "django.contrib.auth.backends.ModelBackend",
    ]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "axes.middleware.AxesMiddleware"]


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirects())


def through(provider: Provider, response: Any) -> str:
    """Follow an answer of the site to the provider, and give the path of the site it sends back to."""
    assert response.status_code == 302, response.content.decode()[:2000]
    assert response.url.startswith(provider.address)
    with pytest.raises(urllib.error.HTTPError) as sent_back:
        OPENER.open(response.url, timeout=SECONDS)
    with sent_back.value as answer:
        assert answer.code == 302
        back = urllib.parse.urlsplit(answer.headers["Location"])
    return f"{back.path.removeprefix('/')}?{back.query}"
