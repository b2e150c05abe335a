"""The command as a process: signals, exit codes and terminals."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager

import pytest
from django.core.management import ManagementUtility
from django.db import connection, connections
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests import databases
from tests.cleanup.command import run
from tests.cleanup.rows import DAY, TICK
from tests.patience import SECONDS

pytestmark = pytest.mark.django_db


class Process:
    def __init__(self, root):
        self.root = root
        self.environment = os.environ | {
            "DATABASE_URL": databases.url_of(connection),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
        }

    @contextmanager
    def running(self, *arguments, **kwargs):
        command = [sys.executable, "-m", "django", "cleanup_sessions", "--skip-checks", *arguments]
        kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
        with subprocess.Popen(command, env=self.environment, cwd=self.root, text=True, **kwargs) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()


@pytest.fixture
def process(request, transactional_db):
    return Process(request.config.rootpath)


def make_dead(count):
    user, now = UserFactory(), timezone.now()
    rows = [
        UserSessionFactory.build(user=user, expires_at=now - DAY - number * TICK) for number in range(count)
    ]
    UserSession.objects.bulk_create(rows)
    connections.close_all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_batch_and_it_says_what_was_done(process, number):
    make_dead(100)
    with process.running("--batch-size=5", "--sleep=3600", "-v2") as running:
        assert running.stdout.readline() == "5 expired and 0 revoked sessions so far\n"
        running.send_signal(number)
        out, err = running.communicate(timeout=SECONDS)
    assert (running.returncode, out, err) == (
        75,
        "Deleted 5 expired and 0 revoked sessions. More are left.\n",
        "",
    )
    assert UserSession.objects.count() == 95


def test_a_second_signal_ends_it_at_once(process):
    """The first is waited out by a batch that waits for a lock; nothing of that batch is gone."""
    make_dead(10)
    with process.running("--batch-size=5", "--sleep=3600", "-v2") as running:
        assert running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=SECONDS)
    assert running.returncode in (75, -signal.SIGTERM)
    assert UserSession.objects.count() == 5


def test_in_cron_it_writes_one_line_and_exits_with_0(process):
    make_dead(12)
    with process.running("--batch-size=5") as running:
        out, err = running.communicate(timeout=SECONDS)
    assert (running.returncode, out, err) == (0, "Deleted 12 expired and 0 revoked sessions.\n", "")


def test_a_bad_value_exits_with_1_and_one_line(process):
    with process.running("--batch-size=-5") as running:
        out, err = running.communicate(timeout=SECONDS)
    assert (running.returncode, out, err) == (1, "", "CommandError: --batch-size must be 1 to 1000000.\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--batch-size", "-5"], "--batch-size must be 1 to 1000000."),
        (["--retention", "-30d"], "--retention: '-30d' is not a duration such as 12h, 30d or 3600."),
        (["--sleep", "-1e3"], "--sleep must be 0 or more."),
    ],
)
def test_a_value_that_looks_like_an_option_is_read_as_a_value(process, arguments, line, capsys):
    """As `manage.py` does with what was typed, but in this process."""
    typed = ["manage.py", "cleanup_sessions", "--skip-checks", *arguments]
    with pytest.raises(SystemExit) as ended:
        ManagementUtility(typed).execute()
    assert (ended.value.code, *capsys.readouterr()) == (1, "", f"CommandError: {line}\n")


def on_a_terminal(process, *arguments):
    """What a person sees, with the terminal's escapes."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    try:
        with process.running(*arguments, stdout=theirs, stderr=theirs) as running:
            os.close(theirs)
            seen = b""
            while True:
                try:
                    chunk = os.read(ours, 4096)
                except OSError:  # the other end is closed
                    break
                if not chunk:
                    break
                seen += chunk
            assert running.wait(SECONDS) == 0
    finally:
        os.close(ours)
    return seen.decode()


def test_on_a_terminal_it_shows_a_bar_with_rate_and_time_left(process):
    make_dead(60)
    seen = on_a_terminal(process, "--batch-size=10", "--sleep=0.15")
    assert re.search(
        r"\b(17|33|50|67|83)%\|.*\b[1-5]0\.0/60\.0 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+k? rows/s\]", seen
    ), seen
    assert "100%|" in seen
    assert seen.splitlines()[-1] == "Deleted 60 expired and 0 revoked sessions."


def test_a_terminal_gets_no_bar_where_none_is_asked_for(process):
    make_dead(3)
    assert json.loads(on_a_terminal(process, "--json"))["expired"] == 3


def test_it_runs_in_a_thread_where_no_signal_arrives(process):
    make_dead(3)
    said = []

    def clean():
        said.append(run())
        connections.close_all()

    thread = threading.Thread(target=clean)
    thread.start()
    thread.join(SECONDS)
    assert said == ["Deleted 3 expired and 0 revoked sessions."]
