import json
import re
import signal
import sys
from argparse import BooleanOptionalAction
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import connections
from django.utils import timezone
from django.utils.dateparse import parse_duration

from sessions_ext.cleanup import AGES, ArgumentError, CleanupPreview, CleanupResult, Walk
from sessions_ext.managers import UserSessionManager
from sessions_ext.models import UserSession

WORK_LEFT = 75  # EX_TEMPFAIL of sysexits.h: run it again
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Command(BaseCommand):
    help = (
        "Deletes the sessions that expired longer ago than EXPIRED_RETENTION, and those revoked longer ago "
        "than REVOKED_RETENTION. "
        "Exits with 0 when it has finished, and with 75 when it was stopped with work left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        def add(name: str, help: str, **kwargs: Any) -> None:
            parser.add_argument(name, help=help, **kwargs)

        # Numbers stay texts here, so that a wrong one gets a line of its own instead of argparse's
        # usage. A negative number of any kind is a value, not an option.
        parser._negative_number_matcher = re.compile(r"-\.?\d")
        add(
            "--before",
            "Delete what expired before this ISO 8601 date or time. Default: EXPIRED_RETENTION ago, or now.",
        )
        add(
            "--retention", "Keep revoked sessions this long: 12h, 30d, P30D or seconds. Default: the setting."
        )
        add("--batch-size", "Rows per transaction. Default: 5000.", default=5000)
        add("--sleep", "Seconds to wait between batches. Default: 0.", default=0)
        add("--max-rows", "Stop after this many rows.")
        add("--max-seconds", "Stop after this many seconds.")
        add("--database", "The database to clean. Default: the one that sessions are written to.")
        add(
            "--dry-run",
            "Count what would be deleted, by reason and age. Delete nothing.",
            action="store_true",
        )
        add("--json", "Write one JSON object instead of the summary.", action="store_true")
        add(
            "--payloads",
            "Delete the expired rows of Django's own session table, too. Default: where there is one.",
            action=BooleanOptionalAction,
        )
        add("--yes", "Allow a --before in the future, which ends active sessions.", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        database = options["database"]
        if database is not None and database not in connections:
            raise CommandError(
                f"--database: there is no {database!r}. Choose from: {', '.join(connections)}."
            )
        sessions: UserSessionManager = UserSession.objects.db_manager(database)
        which = {
            "before": _read(options, "before", _date, "an ISO 8601 date or time"),
            "retention": _read(options, "retention", _duration, "a duration such as 12h, 30d or 3600"),
            "include_active": options["yes"],
            "payloads": options["payloads"],
        }
        bounds = {
            "batch_size": _read(options, "batch_size", int, "a whole number"),
            "sleep": _read(options, "sleep", float, "a number of seconds"),
            "max_rows": _read(options, "max_rows", int, "a whole number"),
            "max_seconds": _read(options, "max_seconds", float, "a number of seconds"),
        }
        try:
            Walk(**bounds)
            if options["dry_run"]:
                self._tell_preview(sessions.preview_cleanup(**which), options)
                return
            # Signals are caught after the bar has counted: until then Ctrl-C stops the program as
            # usual.
            with self._progress(sessions, which, bounds, options) as progress, _stop_signals() as should_stop:
                result = sessions.cleanup(**which, **bounds, progress=progress, should_stop=should_stop)
        except ArgumentError as error:
            hint = " Use --yes if you mean it." if "future" in str(error) else ""
            name, _, rest = str(error).partition(" ")
            raise CommandError(f"--{name.replace('_', '-')} {rest}{hint}") from None
        self._tell(result, options)
        if not result.is_complete:
            sys.exit(WORK_LEFT)

    def _tell(self, result: CleanupResult, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": False, **asdict(result)}))
        elif options["verbosity"]:
            rest = "" if result.is_complete else " More are left."
            line = f"Deleted {result.expired} expired and {result.revoked} revoked sessions."
            self.stdout.write(line + rest)
            if result.payloads:
                self.stdout.write(f"Deleted {result.payloads} expired rows of Django's session table.")

    def _tell_preview(self, preview: CleanupPreview, options: dict[str, Any]) -> None:
        expired = sum(preview.expired.values())
        revoked = sum(sum(ages.values()) for ages in preview.revoked.values())
        payloads = sum(preview.payloads.values())
        if options["json"]:
            totals = {"dry_run": True, "expired": expired, "revoked": revoked, "payloads": payloads}
            self.stdout.write(json.dumps({**totals, "by_reason_and_age": asdict(preview)}))
        if options["json"] or not options["verbosity"]:
            return
        for reason, ages in [("expired", preview.expired), *sorted(preview.revoked.items())]:
            shown = "".join(character if character.isprintable() else "?" for character in reason)
            for age in AGES:
                if age in ages:
                    self.stdout.write(f"{ages[age]:>12}  {age:<14}  {shown}")
        self.stdout.write(f"Would delete {expired} expired and {revoked} revoked sessions.")
        if payloads:
            self.stdout.write(f"Would delete {payloads} expired rows of Django's session table.")

    def _progress(
        self, sessions: UserSessionManager, which: Any, bounds: Any, options: dict[str, Any]
    ) -> Any:
        """A context that yields what cleanup() calls after each batch, or None."""
        if options["verbosity"] > 1:
            return nullcontext(partial(self._tell_batch, self.stderr if options["json"] else self.stdout))
        if options["json"] or not options["verbosity"] or not sys.stderr.isatty():
            return nullcontext()
        try:
            from tqdm import tqdm
        except ImportError:
            return nullcontext()
        return _bar(tqdm, sessions, which, bounds["max_rows"])

    @staticmethod
    def _tell_batch(out: OutputWrapper, done: CleanupResult) -> None:
        counts = f"{done.expired} expired and {done.revoked} revoked sessions"
        payloads = f", {done.payloads} rows of Django's session table" if done.payloads else ""
        out.write(f"{counts}{payloads} so far", str)
        out.flush()


@contextmanager
def _bar(
    tqdm: Any, sessions: UserSessionManager, which: Any, max_rows: int | None
) -> Iterator[Callable[[CleanupResult], None]]:
    preview = sessions.preview_cleanup(**which)
    counts = (preview.expired, *preview.revoked.values(), preview.payloads)
    total = sum(sum(ages.values()) for ages in counts)
    with tqdm(total=min(total, max_rows or total), unit=" rows", unit_scale=True, file=sys.stderr) as bar:
        yield lambda done: bar.update(done.total - bar.n)


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether Ctrl-C or SIGTERM came. A second one does what it always
    does."""
    received: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def receive(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    try:
        for each in (signal.SIGINT, signal.SIGTERM):
            before[each] = signal.getsignal(each)
            signal.signal(each, receive)
    except ValueError:  # not in the main thread, where no signal arrives
        before.clear()
    try:
        yield lambda: bool(received)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _read(options: dict[str, Any], name: str, parse: Callable[[str], Any], what: str) -> Any:
    value = options[name]
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except (ValueError, OverflowError):
        raise CommandError(f"--{name.replace('_', '-')}: {value!r} is not {what}.") from None


def _date(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if timezone.is_naive(at):
        at = timezone.make_aware(at)
    at.astimezone(UTC)  # raises for the first and last days that Python has, which may have no such time
    return at if settings.USE_TZ else timezone.make_naive(at)


def _duration(text: str) -> timedelta:
    if match := re.fullmatch(r"(\d+)([smhdw])", text):
        return timedelta(**{UNITS[match[2]]: int(match[1])})
    # parse_duration() takes a text without any digit for zero.
    if not re.search(r"\d", text) or (duration := parse_duration(text)) is None:
        raise ValueError
    return duration
