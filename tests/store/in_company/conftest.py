import threading
from importlib import import_module
from typing import Any, NamedTuple

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.db import connections
from django.test import AsyncClient, Client

from sessions_ext.models import UserSession
from sessions_ext.testing import log_in
from tests.conftest import ENGINES
from tests.patience import SECONDS
from tests.store.in_company import site


class Engine(NamedTuple):
    """A SESSION_ENGINE: one of Django's behind the middleware, or the same made a verified one."""

    name: str
    is_verified: bool

    @property
    def path(self) -> str:
        package = "sessions_ext.engines" if self.is_verified else "django.contrib.sessions.backends"
        return f"{package}.{self.name}"

    def store(self, key: Any = None) -> Any:
        return import_module(self.path).SessionStore(key)

    def __str__(self) -> str:
        return f"{'verified' if self.is_verified else 'django'}-{self.name}"


DJANGOS = [Engine(name, False) for name in ENGINES]
VERIFIED = [Engine(name, True) for name in ENGINES]
# Data in a table or in the cookie, behind the middleware or verified by themselves, each in one of both
# worlds. The others, and both worlds for each, are asked with -m slow.
WORLDS = {
    Engine("db", False): "sync",
    Engine("signed_cookies", False): "async",
    Engine("db", True): "async",
    Engine("cached_db", True): "sync",
}
FEW = list(WORLDS)


@pytest.hookimpl(tryfirst=True)  # or what is slow is left out before
def pytest_collection_modifyitems(items) -> None:
    for item in items:
        asked = item.callspec.params if hasattr(item, "callspec") else {}
        engine, world = asked.get("engine"), asked.get("browser")
        if world and isinstance(engine, Engine) and WORLDS.get(engine) != world:
            item.add_marker(pytest.mark.slow)


def few_first(engines: list[Engine]) -> list[Any]:
    marks = {True: (), False: pytest.mark.slow}
    return [pytest.param(each, marks=marks[each in FEW], id=str(each)) for each in engines]


few_engines = pytest.mark.parametrize("engine", FEW, indirect=True, ids=str)
verified_engines = pytest.mark.parametrize("engine", few_first(VERIFIED), indirect=True)


@pytest.fixture(params=few_first([*DJANGOS, *VERIFIED]))
def engine(request, settings) -> Engine:
    settings.SESSION_ENGINE = request.param.path
    return request.param


@pytest.fixture
def doing(monkeypatch):
    """Sets what the page "do/" does with its request."""
    return lambda act: monkeypatch.setattr(site.page, "do", act)


class Browser:
    """Visits the site of this package's tests, in the sync or the async world."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async
        self.client: Any = (AsyncClient if is_async else Client)(raise_request_exception=False)

    def get(self, path: str, **headers: str) -> Any:
        return self.visit("get", self._url_of(path), headers=headers)

    def post(self, path: str, data: Any = None, **headers: str) -> Any:
        return self.visit("post", self._url_of(path), data, headers=headers)

    def visit(self, method: str, url: str, *args: Any, headers: Any = None) -> Any:
        call = getattr(self.client, method)
        return (async_to_sync(call) if self.is_async else call)(url, *args, headers=headers)

    def seen(self, path: str = "seen/", **headers: str) -> Any:
        """What the page at the path has seen of the session: user, row and data."""
        response = self.get(path, **headers)
        assert response.status_code == 200, response.content.decode()[:2000]
        return response.json()

    def log_in(self, user: Any, **fields: Any) -> UserSession:
        return log_in(self.client, user, **fields)

    @property
    def cookie(self) -> str:
        return str(self.client.cookies[django_settings.SESSION_COOKIE_NAME].value)

    def same_in_sync(self) -> "Browser":
        """Another tab of this browser, in which a view of this one can meanwhile go on."""
        tab = Browser(is_async=False)
        tab.client.cookies = self.client.cookies
        return tab

    def _url_of(self, path: str) -> str:
        return f"/async/{path}" if self.is_async else f"/{path}"


@pytest.fixture(params=["sync", "async"])
def browser(request) -> Browser:
    return Browser(request.param == "async")


@pytest.fixture
def another(browser):
    """Makes another browser in the same world."""
    return lambda: Browser(browser.is_async)


def in_a_thread(call: Any) -> Any:
    """What the call returns in a thread of its own, which has no request and other connections."""
    outcome = []

    def run() -> None:
        try:
            outcome.append(call())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(SECONDS)
    assert outcome, "the thread failed"
    return outcome[0]
