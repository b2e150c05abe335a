"""The demo does what its landing page says."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demos import Demo, demo_on
from tests.patience import SECONDS
from tests.programs import needs
from tests.servers import Browser, csrf_token, log_in

pytestmark = pytest.mark.xdist_group("the demo itself")  # which takes seconds to start


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('database')}/demo.sqlite3"


@pytest.fixture(scope="module")
def _started(database, tmp_path_factory) -> Iterator[Demo]:
    with demo_on(database, tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture
def itself(_started) -> Demo:
    """The demo with its own settings, as it is when somebody starts it."""
    _started.reset()
    return _started


def run_demo(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "demo", *arguments]
    environment = os.environ | {
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
    }
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def test_one_revoke_in_the_admin_signs_the_other_browser_out(itself):
    here, there, operator = (Browser(itself.address) for _ in range(3))
    for browser in (here, there):
        log_in(browser, "/login/", "ada")
    ids = [re.search(r"<code>([0-9a-f-]{36})", browser.visit("/"))[1] for browser in (here, there)]
    sessions = "/admin/sessions_ext/usersession/"
    log_in(operator, f"/admin/login/?next={sessions}", "admin")
    page = operator.visit(sessions)
    assert all(f'value="{pk}"' in page for pk in ids)
    page = operator.visit(
        sessions,
        action="revoke_selected",
        confirmed="yes",
        _selected_action=ids[1],
        csrfmiddlewaretoken=csrf_token(page),
    )
    assert "1 session was revoked." in page

    here.visit("/private/")
    there.visit("/private/")
    assert here.url.endswith("/private/")
    assert "/login/" in there.url


def test_running_it_twice_adds_nothing(itself, database):
    again = run_demo(database, "--no-serve")
    assert again.returncode == 0, again.stderr
    assert again.stdout in itself.log.read_text()
    assert re.search(r"ada +ada-demo", again.stdout)
    assert int(re.search(r"(\d+) sessions", again.stdout)[1]) >= 200


def test_a_taken_port_gets_one_clear_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run_demo(f"sqlite:///{tmp_path}/unused.sqlite3", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: Cannot serve at 127.0.0.1, port ")
    assert result.stderr.count("\n") == 1


def paste(page, demo):
    """Run the first shell block of a page against the demo, and return what it prints."""
    needs("curl")
    text = (Path(__file__).parent.parent / "docs" / page).read_text()
    lines = re.search(r"```sh\n(.*?)```", text, re.DOTALL)[1]
    pasted = lines.replace("http://127.0.0.1:8000", demo.address)
    done = subprocess.run(
        ["bash", "-ec", pasted], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    return done.stdout.strip()


def test_the_curl_lines_of_the_api_work_as_pasted(itself):
    printed = paste("api-and-tokens.md", itself)
    answers = re.split(r"(?<=})\s*(?={)|\n(?=HTTP)|(?<=})(?=HTTP)", printed)
    assert [answer[:17] for answer in answers] == [
        '{"access_token": ',
        '{"items": [{"id":',
        '{"access_token": ',
        '{"revoked": 2}',
        "HTTP/1.1 204 No C",
    ]


def test_the_curl_lines_of_step_up_work_as_pasted(itself):
    printed = paste("step-up.md", itself)
    assert re.findall(r"HTTP/1.1 (\d+)", printed) == ["200", "200"]
    assert re.findall(r'"revoked": (\d+)', printed) == ["2", "0"]


def test_the_curl_line_of_the_metrics_works_as_pasted(itself):
    printed = paste("metrics.md", itself)
    assert re.search(r'^sessions_ext_revoked_total\{reason="admin"\} \d', printed, re.MULTILINE)
    assert float(re.search(r"^sessions_ext_active (.*)$", printed, re.MULTILINE)[1]) > 0
