"""The code of docs/rest-framework.md, run as it stands there in a project of its own."""

import json
import os
import re
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.patience import SECONDS
from tests.programs import needs
from tests.servers import free_port, running

pytest.importorskip("rest_framework")
pytestmark = [pytest.mark.once, pytest.mark.xdist_group("docs/rest-framework.md")]  # for one server

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/rest-framework.md").read_text()
SETTINGS = """
from pathlib import Path

SECRET_KEY = "only for tests, and long enough for every check that Django has"
DEBUG = True
ROOT_URLCONF = "project.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent / "db.sqlite3"}
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "sessions_ext",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "sessions_ext.middleware.UserSessionMiddleware",
]
"""
MORE_URLS = """
from project import token_views

urlpatterns += [path("log-in/", token_views.LogIn.as_view()), path("refresh/", token_views.Refresh.as_view())]
"""
SERVE = """
import sys
import django

django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command

call_command("migrate", verbosity=0)
for name in ("ada", "grace"):
    get_user_model().objects.create_user(name, password=f"{name}-demo")
call_command("runserver", sys.argv[1], use_reloader=False)
"""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The page's project, with a user for each test, served by Django."""
    root = tmp_path_factory.mktemp("page")
    project = root / "project"
    project.mkdir()
    for block in blocks("python"):
        name = re.match(r"# (\w+\.py)\n", block)[1]
        added = {"settings.py": (SETTINGS, ""), "urls.py": ("", MORE_URLS)}.get(name, ("", ""))
        (project / name).write_text(block.join(added))
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PYTHONPATH": f"{root}{os.pathsep}{ROOT}",
    }
    port = free_port()
    with running(["-c", SERVE, str(port)], port, environment, root / "log") as address:
        yield address


def test_the_lines_of_the_page_log_in_and_end_sessions(server):
    needs("curl")
    (lines,) = blocks("sh")
    pasted = lines.replace("http://127.0.0.1:8000", server)
    done = subprocess.run(
        ["bash", "-ec", pasted], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    first, me, ended, second, refused = map(json.loads, done.stdout.splitlines())
    assert me == {"user": "ada", "device": first["session"]["device_info"]}
    assert ended == {"ended": 0}
    assert second["session"]["id"] == first["session"]["id"]
    assert second["access_token"] != first["access_token"]
    assert refused == {"detail": "Sign in, or refresh the access token."}


def test_the_views_without_ninja_log_in_and_refresh(server):
    def call(path, body=None, **headers):
        data = body and json.dumps(body).encode()
        request = Request(f"{server}{path}", data, {"Content-Type": "application/json", **headers})
        try:
            with urlopen(request, timeout=SECONDS) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, None

    assert call("/log-in/", {"username": "grace", "password": "wrong"})[0] in {401, 403}
    assert call("/log-in/", {"username": "grace"})[0] in {401, 403}
    status, pair = call("/log-in/", {"username": "grace", "password": "grace-demo"})
    assert status == 200
    for _ in range(2):
        status, me = call("/api/me/", Authorization=f"Bearer {pair['access_token']}")
        assert (status, me["user"]) == (200, "grace")
        status, pair = call("/refresh/", {"refresh_token": pair["refresh_token"]})
        assert status == 200
    assert call("/refresh/", {"refresh_token": "x"})[0] == 401
