"""What is deleted, when, and that nothing else is; and what the command says."""

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
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.models.signals import pre_delete
from django.test import override_settings
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests import databases

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
RETENTION = 30 * DAY


@pytest.fixture(autouse=True)
def _frozen(request):
    if "process" in request.fixturenames:  # which has the real clock
        yield
        return
    with time_machine.travel(NOW, tick=False):
        yield


def expiring(at, user, **fields):
    return UserSessionFactory(user=user, created_at=at - DAY, expires_at=at, **fields)


def revoked(at, user, **fields):
    return expiring(fields.pop("expires_at", NOW + DAY), user, revoked=True, revoked_at=at, **fields)


def left():
    return set(UserSession.objects.all())


def run(**options):
    out = StringIO()
    call_command("cleanup_sessions", stdout=out, **options)
    return out.getvalue().strip()


def test_the_command_deletes_what_is_over_and_says_how_many(user):
    kept = {expiring(NOW + DAY, user), revoked(NOW - DAY, user)}
    for days in range(3):
        expiring(NOW - (1 + days) * DAY, user)
    for days in range(2):
        revoked(NOW - RETENTION - (1 + days) * DAY, user)
    assert run() == "Deleted 3 expired and 2 revoked sessions."
    assert left() == kept
    assert run() == "Deleted 0 expired and 0 revoked sessions."
    assert left() == kept


@pytest.mark.parametrize(
    ("expires_at", "goes"), [(NOW - TICK, True), (NOW, False), (NOW + TICK, False), (NOW - 9999 * DAY, True)]
)
def test_an_expired_session_goes_to_the_microsecond(user, expires_at, goes):
    session = expiring(expires_at, user)
    assert UserSession.objects.cleanup() == (goes, 0, True)
    assert left() == (set() if goes else {session})


@pytest.mark.parametrize(
    ("expires_at", "goes"), [(NOW - DAY - TICK, True), (NOW - DAY, False), (NOW - TICK, False)]
)
def test_before_moves_the_mark_of_expiry_alone(user, expires_at, goes):
    kept = {revoked(NOW - RETENTION, user)} | (set() if goes else {expiring(expires_at, user)})
    if goes:
        expiring(expires_at, user)
    assert UserSession.objects.cleanup(before=NOW - DAY) == (goes, 0, True)
    assert left() == kept


@pytest.mark.parametrize(
    ("retention", "revoked_at", "goes"),
    [
        (RETENTION, NOW - RETENTION - TICK, True),
        (RETENTION, NOW - RETENTION, False),
        (RETENTION, NOW - RETENTION + TICK, False),
        (timedelta(0), NOW - TICK, True),
        (timedelta(0), NOW, False),
        (DAY, NOW - DAY - TICK, True),
    ],
)
@pytest.mark.parametrize("expires_at", [NOW - 400 * DAY, NOW + DAY])
def test_a_revoked_session_is_kept_for_its_retention_whenever_it_expires(
    user, retention, revoked_at, goes, expires_at
):
    session = revoked(revoked_at, user, expires_at=expires_at)
    with override_settings(SESSIONS_EXT={"REVOKED_RETENTION": retention}):
        assert UserSession.objects.cleanup() == (0, goes, True)
    assert left() == (set() if goes else {session})


def test_a_session_goes_when_its_time_has_come(user):
    expiring(NOW + DAY, user)
    revoked(NOW, user)
    assert run() == "Deleted 0 expired and 0 revoked sessions."
    with time_machine.travel(NOW + DAY + TICK, tick=False):
        assert run() == "Deleted 1 expired and 0 revoked sessions."
    with time_machine.travel(NOW + RETENTION + TICK, tick=False):
        assert run() == "Deleted 0 expired and 1 revoked sessions."
    assert not left()


def test_an_idle_session_stays_until_it_expires(user):
    session = expiring(NOW + DAY, user, last_activity_at=NOW - 5 * DAY)
    with override_settings(SESSIONS_EXT={"IDLE_TIMEOUT": 60}):
        assert UserSession.objects.cleanup() == (0, 0, True)
    assert left() == {session}


@pytest.mark.parametrize("before", [None, NOW, NOW - DAY])
@pytest.mark.parametrize("batch_size", [1, 2, 5000])
def test_an_active_session_is_never_deleted(user, before, batch_size):
    active = {expiring(NOW + DAY, user), expiring(NOW + RETENTION, user)}
    expiring(NOW - 2 * DAY, user)
    UserSession.objects.cleanup(before=before, batch_size=batch_size)
    assert left() == active


def test_a_mark_in_the_future_ends_nobody(user):
    session = expiring(NOW + DAY, user)
    for before in (NOW + TICK, NOW + 2 * DAY):
        with pytest.raises(ValueError, match="before is in the future"):
            UserSession.objects.cleanup(before=before)
    assert left() == {session}


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 6, 10, 23])
def test_more_rows_than_a_batch_are_all_deleted(user, rows):
    kept = {expiring(NOW, user), revoked(NOW - RETENTION, user)}
    for number in range(rows):
        expiring(NOW - (1 + number) * TICK, user)
        revoked(NOW - RETENTION - (1 + number) * TICK, user)
    assert UserSession.objects.cleanup(batch_size=5) == (rows, rows, True)
    assert left() == kept


@pytest.mark.parametrize("batch_size", [1, 2, 7, 8])
def test_rows_that_ended_at_the_same_time_are_all_deleted(user, batch_size):
    kept = {expiring(NOW, user)}
    for at in (NOW - DAY, NOW - DAY, NOW - DAY, NOW - TICK, NOW - 2 * DAY, NOW - DAY, NOW - DAY):
        expiring(at, user)
        revoked(at - RETENTION, user)
    assert UserSession.objects.cleanup(batch_size=batch_size) == (7, 7, True)
    assert left() == kept


def test_no_statement_deletes_more_than_a_batch(user):
    sizes = []

    def count(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("DELETE"):
            sizes.append(context["cursor"].rowcount)
        return result

    for number in range(23):
        expiring(NOW - (1 + number) * TICK, user)
    with connection.execute_wrapper(count):
        UserSession.objects.cleanup(batch_size=5)
    assert (sum(sizes), max(sizes)) == (23, 5)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_below_one_is_refused_and_deletes_nothing(user, batch_size):
    session = expiring(NOW - DAY, user)
    with pytest.raises(ValueError, match="batch_size"):
        UserSession.objects.cleanup(batch_size=batch_size)
    assert left() == {session}


@pytest.mark.django_db(databases=["default", "other"])
def test_the_command_cleans_the_database_that_is_named(user):
    here = expiring(NOW - DAY, user)
    stranger = get_user_model()(username="stranger")
    stranger.save(using="other")
    there = UserSessionFactory.build(user=stranger, expires_at=NOW - DAY)
    there.save(using="other")
    assert run(database="other") == "Deleted 1 expired and 0 revoked sessions."
    assert left() == {here}
    assert not UserSession.objects.using("other").exists()


# The options


def dead(user, count=5):
    for number in range(count):
        expiring(NOW - (1 + number) * DAY, user)
        revoked(NOW - RETENTION - (1 + number) * DAY, user)


@pytest.mark.parametrize(
    ("options", "said", "remain"),
    [
        ({"before": "2030-01-29"}, "Deleted 3 expired and 5 revoked sessions.", 2),
        ({"before": "2030-01-30T12:00+00:00"}, "Deleted 4 expired and 5 revoked sessions.", 1),
        ({"before": "2030-01-30T12:00:00.000001Z"}, "Deleted 5 expired and 5 revoked sessions.", 0),
        ({"retention": "32d"}, "Deleted 5 expired and 3 revoked sessions.", 2),
        ({"retention": "768h"}, "Deleted 5 expired and 3 revoked sessions.", 2),
        ({"retention": "P32D"}, "Deleted 5 expired and 3 revoked sessions.", 2),
        ({"retention": str(32 * 24 * 3600)}, "Deleted 5 expired and 3 revoked sessions.", 2),
        ({"retention": 32 * DAY}, "Deleted 5 expired and 3 revoked sessions.", 2),
        ({"batch_size": "2", "sleep": "0.001"}, "Deleted 5 expired and 5 revoked sessions.", 0),
        ({"max_rows": 10, "max_seconds": 600}, "Deleted 5 expired and 5 revoked sessions.", 0),
    ],
)
def test_an_option_is_obeyed(user, options, said, remain):
    dead(user)
    assert run(**options) == said
    assert len(left()) == remain


@pytest.mark.parametrize(
    ("bound", "said"), [("max_rows", "5 expired and 2"), ("max_seconds", "0 expired and 0")]
)
def test_a_bound_that_stopped_it_with_work_left_exits_with_75(user, bound, said, capsys):
    dead(user)
    with pytest.raises(SystemExit) as stopped:
        call_command("cleanup_sessions", **{bound: {"max_rows": 7, "max_seconds": 0}[bound]})
    assert stopped.value.code == 75
    assert capsys.readouterr().out == f"Deleted {said} revoked sessions. There are more.\n"


def test_a_date_means_midnight_in_the_projects_time_zone(user, settings):
    settings.TIME_ZONE = "America/New_York"
    kept = expiring(datetime(2030, 1, 30, 5, tzinfo=UTC), user)
    expiring(datetime(2030, 1, 30, 5, tzinfo=UTC) - TICK, user)
    assert run(before="2030-01-30") == "Deleted 1 expired and 0 revoked sessions."
    assert left() == {kept}


def test_without_time_zones_a_date_is_read_too(user, settings):
    settings.USE_TZ = False
    settings.TIME_ZONE = "UTC"
    try:
        connection.ensure_timezone()
        assert run(before="2030-01-30T12:00+01:00") == "Deleted 0 expired and 0 revoked sessions."
        with pytest.raises(CommandError, match="in the future"):
            run(before="2030-02-01")
    finally:
        settings.USE_TZ = True
        connection.ensure_timezone()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"batch_size": "0"}, "--batch-size must be 1 to 1000000."),
        ({"batch_size": "-5"}, "--batch-size must be 1 to 1000000."),
        ({"batch_size": "99999999999999999999"}, "--batch-size must be 1 to 1000000."),
        ({"retention": ""}, "--retention: '' is not a duration such as 12h, 30d or 3600."),
        ({"retention": "P"}, "--retention: 'P' is not a duration such as 12h, 30d or 3600."),
        ({"batch_size": "many"}, "--batch-size: 'many' is not a whole number."),
        ({"batch_size": "1.5"}, "--batch-size: '1.5' is not a whole number."),
        ({"sleep": "-1"}, "--sleep must be 0 or more."),
        ({"sleep": "nan"}, "--sleep must be 0 or more."),
        ({"sleep": "long"}, "--sleep: 'long' is not a number of seconds."),
        ({"max_rows": "0"}, "--max-rows must be 1 or more."),
        ({"max_rows": "x"}, "--max-rows: 'x' is not a whole number."),
        ({"max_seconds": "-0.5"}, "--max-seconds must be 0 or more."),
        ({"max_seconds": ""}, "--max-seconds: '' is not a number of seconds."),
        ({"before": "yesterday"}, "--before: 'yesterday' is not an ISO 8601 date or time."),
        ({"before": "2030-02-30"}, "--before: '2030-02-30' is not an ISO 8601 date or time."),
        (
            {"before": "0001-01-01T00:00+14:00"},
            "--before: '0001-01-01T00:00+14:00' is not an ISO 8601 date or time.",
        ),
        (
            {"before": "2030-02-01"},
            "--before is in the future: sessions that are still active would be deleted."
            " Use --yes if that is meant.",
        ),
        ({"retention": "-1"}, "--retention must be a duration of zero or more."),
        ({"retention": "a month"}, "--retention: 'a month' is not a duration such as 12h, 30d or 3600."),
        (
            {"retention": "9" * 30 + "d"},
            f"--retention: '{'9' * 30}d' is not a duration such as 12h, 30d or 3600.",
        ),
        ({"retention": "40000d"}, "--retention must be a duration of at most 100 years."),
        ({"database": "nowhere"}, "--database: there is no 'nowhere'. There is: default, other."),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_bad_value_gets_one_clear_line_and_deletes_nothing(user, options, line, dry_run):
    dead(user)
    with pytest.raises(CommandError) as refused:
        run(dry_run=dry_run, **options)
    assert str(refused.value) == line
    assert len(left()) == 10


def test_yes_allows_a_date_in_the_future(user):
    kept = expiring(NOW + 3 * DAY, user)
    expiring(NOW + DAY - TICK, user)
    assert run(before="2030-02-01T12:00Z", yes=True) == "Deleted 1 expired and 0 revoked sessions."
    assert left() == {kept}


def test_a_dry_run_that_is_told_to_be_quiet_is_quiet(user):
    dead(user)
    assert run(dry_run=True, verbosity=0) == ""


def test_a_dry_run_counts_by_reason_and_age_and_deletes_nothing(user):
    dead(user)
    revoked(NOW - 400 * DAY, user, revoked_reason="stolen \x1b[2J laptop")
    assert run(dry_run=True).splitlines() == [
        "5  1 to 7 days     expired",
        "           1  over a year     stolen ?[2J laptop",
        "           5  30 to 90 days   user",
        "Would delete 5 expired and 6 revoked sessions.",
    ]
    assert len(left()) == 11


def test_json_is_one_object_for_machines(user):
    dead(user)
    dry = json.loads(run(dry_run=True, json=True))
    assert dry == {
        "dry_run": True,
        "expired": 5,
        "revoked": 5,
        "by_reason_and_age": {"expired": {"1 to 7 days": 5}, "revoked": {"user": {"30 to 90 days": 5}}},
    }
    err = StringIO()
    wet = json.loads(run(json=True, verbosity=2, batch_size=2, stderr=err))
    assert wet == {"dry_run": False, "expired": 5, "revoked": 5, "is_complete": True}
    assert len(err.getvalue().splitlines()) == 6


def test_verbosity_2_says_a_line_a_batch_and_0_says_nothing(user):
    dead(user)
    assert run(verbosity=2, batch_size=3).splitlines() == [
        "3 expired and 0 revoked sessions so far",
        "5 expired and 0 revoked sessions so far",
        "5 expired and 3 revoked sessions so far",
        "5 expired and 5 revoked sessions so far",
        "Deleted 5 expired and 5 revoked sessions.",
    ]
    assert run(verbosity=0) == ""


# As a process


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
    with process.running("--batch-size=5", "--sleep=30", "-v2") as running:
        assert running.stdout.readline() == "5 expired and 0 revoked sessions so far\n"
        running.send_signal(number)
        out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err) == (
        75,
        "Deleted 5 expired and 0 revoked sessions. There are more.\n",
        "",
    )
    assert UserSession.objects.count() == 95


def test_a_second_signal_ends_it_at_once(process):
    """The first is waited out by a batch that waits for a lock; nothing of that batch is gone."""
    make_dead(10)
    with process.running("--batch-size=5", "--sleep=30", "-v2") as running:
        assert running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)
    assert running.returncode in (75, -signal.SIGTERM)
    assert UserSession.objects.count() == 5


def test_in_cron_it_writes_one_line_and_exits_with_0(process):
    make_dead(12)
    with process.running("--batch-size=5") as running:
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (0, "Deleted 12 expired and 0 revoked sessions.\n", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--batch-size=-5"], "--batch-size must be 1 to 1000000."),
        (["--batch-size", "-5"], "--batch-size must be 1 to 1000000."),
        (["--retention", "-30d"], "--retention: '-30d' is not a duration such as 12h, 30d or 3600."),
        (["--sleep", "-1e3"], "--sleep must be 0 or more."),
    ],
)
def test_a_bad_value_exits_with_1_and_one_line(process, arguments, line):
    with process.running(*arguments) as running:
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (1, "", f"CommandError: {line}\n")


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
            assert running.wait(20) == 0
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


def test_without_tqdm_there_is_no_bar(user, monkeypatch, capsys):
    dead(user)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert run() == "Deleted 5 expired and 5 revoked sessions."
    assert capsys.readouterr().err == ""


def test_the_bar_counts_the_rows_that_max_rows_allows(user, monkeypatch, capsys):
    dead(user)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(SystemExit):
        run(max_rows=6, batch_size=2)
    assert "6.00/6.00" in capsys.readouterr().err


def test_it_runs_in_a_thread_where_no_signal_arrives(process):
    make_dead(3)
    said = []

    def clean():
        said.append(run())
        connections.close_all()

    thread = threading.Thread(target=clean)
    thread.start()
    thread.join(30)
    assert said == ["Deleted 3 expired and 0 revoked sessions."]


def test_the_handlers_of_signals_are_put_back(user):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_batch_that_a_signal_meets_is_finished(user, number, capsys):
    dead(user)
    sent = []

    def send(**kwargs):
        if not sent:
            sent.append(number)
            os.kill(os.getpid(), number)

    pre_delete.connect(send, sender=UserSession)
    try:
        with pytest.raises(SystemExit) as stopped:
            call_command("cleanup_sessions", batch_size=2)
    finally:
        pre_delete.disconnect(send, sender=UserSession)
    assert stopped.value.code == 75
    assert capsys.readouterr().out == "Deleted 2 expired and 0 revoked sessions. There are more.\n"
    assert len(left()) == 8
