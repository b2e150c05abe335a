"""The demo does what its landing page says."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import SECONDS
from tests.programs import needs
from tests.servers import Browser, csrf_token, free_port, log_in, running


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path}/demo.sqlite3",
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
    }


def run_demo(environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "demo", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def test_one_revoke_in_the_admin_signs_the_other_browser_out(environment, tmp_path):
    port = free_port()
    with running(["manage.py", "demo", str(port)], port, environment, tmp_path / "log") as server:
        here, there, operator = Browser(server), Browser(server), Browser(server)
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


def test_running_it_twice_adds_nothing(environment):
    first, second = (run_demo(environment, "--no-serve") for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout
    assert re.search(r"ada +ada-demo", first.stdout)
    assert int(re.search(r"(\d+) sessions", first.stdout)[1]) >= 200


def test_a_taken_port_gets_one_clear_line(environment, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run_demo(environment, str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: Cannot serve at 127.0.0.1, port ")
    assert result.stderr.count("\n") == 1


def paste(page, environment, tmp_path):
    """Run the first shell block of a page against a demo, and return what it prints."""
    needs("curl")
    text = (Path(__file__).parent.parent / "docs" / page).read_text()
    lines = re.search(r"```sh\n(.*?)```", text, re.DOTALL)[1]
    port = free_port()
    with running(["manage.py", "demo", str(port)], port, environment, tmp_path / "log") as server:
        pasted = lines.replace("http://127.0.0.1:8000", server)
        done = subprocess.run(
            ["bash", "-ec", pasted], capture_output=True, text=True, timeout=SECONDS, check=True
        )
    return done.stdout.strip()


def test_the_curl_lines_of_the_api_work_as_pasted(environment, tmp_path):
    printed = paste("api-and-tokens.md", environment, tmp_path)
    answers = re.split(r"(?<=})\s*(?={)|\n(?=HTTP)|(?<=})(?=HTTP)", printed)
    assert [answer[:17] for answer in answers] == [
        '{"access_token": ',
        '{"items": [{"id":',
        '{"access_token": ',
        '{"revoked": 2}',
        "HTTP/1.1 204 No C",
    ]


def test_the_curl_lines_of_step_up_work_as_pasted(environment, tmp_path):
    printed = paste("step-up.md", environment, tmp_path)
    assert re.findall(r"HTTP/1.1 (\d+)", printed) == ["200", "200"]
    assert re.findall(r'"revoked": (\d+)', printed) == ["2", "0"]


def test_the_curl_line_of_the_metrics_works_as_pasted(environment, tmp_path):
    printed = paste("metrics.md", environment, tmp_path)
    assert 'sessions_ext_revoked_total{reason="admin"} 0.0' in printed.splitlines()
    assert float(re.search(r"^sessions_ext_active (.*)$", printed, re.MULTILINE)[1]) > 0
