"""The Python blocks of the pages run, among the names that a reader has: a user, a request, the imports of a
urls.py. Settings are put in force, checked, and signed in with. Test functions are called."""

import json
import re
import sys
import unittest
from datetime import timedelta
from itertools import chain
from secrets import token_hex
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.decorators import login_not_required
from django.contrib.sessions.backends.db import SessionStore
from django.core import checks
from django.dispatch import Signal
from django.http import StreamingHttpResponse
from django.template import Template
from django.test import Client, override_settings
from django.urls import include, path
from django.views.generic import TemplateView
from ninja import NinjaAPI

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.docs.pages import Block, blocks, name

OURS = {"SESSIONS_EXT", "SESSION_ENGINE", "LOGIN_URL"}
FILE = re.compile(r"^# ([\w/]+)\.py$", re.MULTILINE)
# Its blocks are one project, which tests/test_rest_framework_page.py runs.
WHOLE = {"docs/rest-framework.md"}
# Packages that a reader of that page has, and the suite need not have; and what it has imported of them.
PACKAGES = {
    "channels": ["channels"],
    "rest_framework": ["rest_framework.permissions", "rest_framework.views"],
}
# Of a package that is not here: a Celery application, and its schedule.
CELERY = SimpleNamespace(
    task=lambda function: SimpleNamespace(name=function.__name__, run=function), conf=SimpleNamespace()
)


@pytest.fixture
def names(client, user, rf):
    """What a reader has at hand where the blocks stand."""
    user.profile = SimpleNamespace(session_limit=None, tier="team")
    elsewhere = UserSessionFactory(user=user)
    request = rf.post("/", {"code": ""})
    request.user, request.user_session = user, log_in(client, user)
    return {
        "INSTALLED_APPS": [],
        "MIDDLEWARE": [],
        "PushSubscription": UserSession,  # any model of the project's own
        "StreamingHttpResponse": StreamingHttpResponse,
        "TemplateView": TemplateView,
        "TheirSessionStore": SessionStore,
        "User": get_user_model(),
        "UserAdmin": UserAdmin,
        "UserSession": UserSession,
        "admin": SimpleNamespace(register=lambda *models: lambda options: options, site=admin.site),
        "api": NinjaAPI(urls_namespace=token_hex()),
        "app": CELERY,
        "crontab": dict,
        "django_application": None,
        "include": include,
        "is_right": lambda code: False,
        "login_not_required": login_not_required,
        "path": path,
        "request": request,
        "session": elsewhere,
        "session_id": elsewhere.pk,
        "timedelta": timedelta,
        "user": user,
        "websocket_urlpatterns": [],
    }


def files(block: Block) -> list[tuple[str, str]]:
    """The parts of a block, by the file that a comment names before each: "" where none is named."""
    first, *rest = FILE.split(block.code)
    return [("", first), *zip(rest[::2], rest[1::2], strict=True)]


@pytest.fixture(autouse=True)
def _heard_alone(monkeypatch):
    """A receiver that a block connects is not called in other tests."""
    connected, connect = [], Signal.connect

    def note(signal, receiver, sender=None, weak=True, dispatch_uid=None):
        if ".md" in getattr(getattr(receiver, "__code__", None), "co_filename", ""):
            connected.append((signal, receiver, sender, dispatch_uid))
        return connect(signal, receiver, sender, weak, dispatch_uid)

    monkeypatch.setattr(Signal, "connect", note)
    yield
    for signal, receiver, sender, dispatch_uid in connected:
        assert signal.disconnect(receiver, sender, dispatch_uid)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "block", [block for block in blocks("python") if name(block.page) not in WHOLE], ids=str
)
def test_it_runs(block, names, client, user, monkeypatch):
    for file, code in files(block):
        missing = [package for package in PACKAGES if f"from {package}" in code or f"s_ext.{package}" in code]
        for package in chain.from_iterable(PACKAGES[package] for package in missing):
            names |= vars(pytest.importorskip(package, reason=f"{package} is not installed"))
        if "/" in file and not file.startswith("mysite"):
            module = ModuleType(file.replace("/", "."))
            package = module.__name__.partition(".")[0]
            monkeypatch.setitem(sys.modules, package, sys.modules.get(package, ModuleType(package)))
            monkeypatch.setitem(sys.modules, module.__name__, module)
            exec(compile(code, str(block), "exec"), vars(module))
        else:
            # A reader's own URLs and models of another name are not here.
            code = re.sub(r'include\("project[\w.]*"\)', "include([])", code)
            exec(compile(code, str(block), "exec"), names)
    ours = {key: value for key, value in names.items() if key in OURS}
    if ours:
        come_into_force(ours, names, client, user)
    for called, thing in list(names.items()):
        if called.startswith("test_"):
            thing(Client(), UserFactory())
        elif (
            isinstance(thing, type)
            and issubclass(thing, unittest.TestCase)
            and thing.__module__ == "builtins"
        ):
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(thing).run(result)
            assert result.testsRun
            assert not result.failures + result.errors, result.failures + result.errors


def come_into_force(ours, names, client, user):
    with override_settings(**ours):
        found = checks.run_checks(tags=["sessions_ext"])
        assert not [message for message in found if message.level >= checks.ERROR], found
        log_in(client, user)
        assert client.get("/who/").content.decode() == user.get_username()


@pytest.mark.django_db
def test_the_views_that_hand_out_tokens_work(rf):
    """Those of the page on tokens, which need no package."""
    (block,) = (block for block in blocks("python") if "def whoami" in block.code)
    views: dict[str, Any] = {}
    exec(compile(block.code, str(block), "exec"), views)
    user = UserFactory()

    def call(view, **form):
        return json.loads(views[view](rf.post("/", form)).content)

    first = call("sign_in", name=user.get_username(), password="password")
    second = call("refresh", refresh=first["refresh"])
    asked = rf.get("/", headers={"Authorization": f"Bearer {second['access']}"})
    assert str(json.loads(views["whoami"](asked).content)["user"]) == str(user.pk)
    user.user_sessions.all().revoke("stolen laptop")
    assert views["whoami"](asked).status_code == 401
    assert views["refresh"](rf.post("/", {"refresh": second["refresh"]})).status_code == 401
    wrong = rf.post("/", {"name": user.get_username(), "password": "wrong"})
    assert views["sign_in"](wrong).status_code == 401


@pytest.mark.parametrize("block", blocks("html"), ids=str)
def test_a_template_can_be_read(block):
    assert Template(block.code)


@pytest.mark.parametrize("kind", ["py", "Python", "console", "bash", "shell", ""])
def test_no_block_hides_behind_another_kind(kind):
    """Said as `python` or `sh`, a block is tested."""
    assert not blocks(kind)
