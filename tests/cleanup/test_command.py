"""The options of the command, and what it says."""

import json
import os
import signal
import sys
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.signals import pre_delete

from sessions_ext.models import UserSession
from tests.cleanup.command import dead, expiring, revoked, run
from tests.cleanup.rows import DAY, NOW, TICK, left

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]


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
    assert capsys.readouterr().out == f"Deleted {said} revoked sessions. More are left.\n"


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
            " Use --yes if you mean it.",
        ),
        ({"retention": "-1"}, "--retention must be a duration of zero or more."),
        ({"retention": "a month"}, "--retention: 'a month' is not a duration such as 12h, 30d or 3600."),
        (
            {"retention": "9" * 30 + "d"},
            f"--retention: '{'9' * 30}d' is not a duration such as 12h, 30d or 3600.",
        ),
        ({"retention": "40000d"}, "--retention must be a duration of at most 100 years."),
        ({"database": "nowhere"}, "--database: there is no 'nowhere'. Choose from: default, other."),
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
        "payloads": 0,
        "by_reason_and_age": {
            "expired": {"1 to 7 days": 5},
            "revoked": {"user": {"30 to 90 days": 5}},
            "payloads": {},
        },
    }
    err = StringIO()
    wet = json.loads(run(json=True, verbosity=2, batch_size=2, stderr=err))
    assert wet == {"dry_run": False, "expired": 5, "revoked": 5, "is_complete": True, "payloads": 0}
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
    assert capsys.readouterr().out == "Deleted 2 expired and 0 revoked sessions. More are left.\n"
    assert len(left()) == 8
