"""The app under a real WSGI and a real ASGI server, in processes of their own."""

import http.cookiejar
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests import databases

pytestmark = pytest.mark.django_db(transaction=True)

COMMANDS = {
    "gunicorn": ["gunicorn", "django.core.wsgi:get_wsgi_application()", "-w", "2", "-b", "127.0.0.1:{port}"],
    "uvicorn": ["uvicorn", "--factory", "django.core.asgi:get_asgi_application", "--port", "{port}"],
}


@pytest.fixture(params=COMMANDS)
def server(request, tmp_path) -> Iterator[str]:
    port = free_port()
    command = [part.format(port=port) for part in COMMANDS[request.param]]
    environment = os.environ | {
        "DATABASE_URL": databases.url_of(connection),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    with open(tmp_path / "log", "w+") as log:
        process = subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=log, stderr=log)
        try:
            wait_for(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen, log) -> None:
    for _ in range(200):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    log.seek(0)
    pytest.fail(f"the server did not start: {log.read()}")


def browser(server: str) -> Callable[..., str]:
    """A browser: call it with a path, and form data to post it. Keeps its cookies."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
    )

    def visit(path: str, **form: str) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        with opener.open(server + path, data, timeout=20) as response:
            return response.read().decode()

    return visit


@pytest.mark.parametrize("prefix", ["/", "/a"])
def test_a_revoke_in_one_process_signs_out_in_another(server, prefix):
    name = UserFactory().get_username()
    one, two = browser(server), browser(server)
    for visit in (one, two):
        assert visit(f"{prefix}login/", username=name, password="password") == name
    ids = {visit(f"{prefix}row/") for visit in (one, two)}
    assert ids == {str(pk) for pk in UserSession.objects.values_list("pk", flat=True)}

    assert UserSession.objects.filter(pk=one(f"{prefix}row/")).revoke("stolen") == 1

    assert one(f"{prefix}who/") == "nobody"
    assert one(f"{prefix}data/") == "{}"
    assert two(f"{prefix}who/") == name

    assert two(f"{prefix}logout/") == "nobody"
    assert two("/who/") == two("/awho/") == "nobody"
    assert not UserSession.objects.active().exists()
