import json
import re
from argparse import BooleanOptionalAction
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connections
from django.utils import timezone
from django.utils.dateparse import parse_duration

from sessions_ext.batches import ArgumentError
from sessions_ext.cleanup import AGES, CleanupPreview, CleanupResult, Walk
from sessions_ext.management.batch_command import BatchCommand, read, refused, stop_signals
from sessions_ext.managers import UserSessionManager
from sessions_ext.models import UserSession

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Command(BatchCommand):
    help = (
        "Deletes the sessions that expired longer ago than EXPIRED_RETENTION, and those revoked longer ago "
        "than REVOKED_RETENTION. "
        "Exits with 0 when it has finished, and with 75 when it was stopped with work left."
    )
    default_batch_size = 5000

    def add_arguments(self, parser: CommandParser) -> None:
        def add(name: str, help: str, **kwargs: Any) -> None:
            parser.add_argument(name, help=help, **kwargs)

        self.add_bounds(parser)
        add(
            "--before",
            "Delete what expired before this ISO 8601 date or time. Default: EXPIRED_RETENTION ago, or now.",
        )
        add(
            "--retention", "Keep revoked sessions this long: 12h, 30d, P30D or seconds. Default: the setting."
        )
        add("--database", "The database to clean. Default: the one that sessions are written to.")
        add(
            "--dry-run",
            "Count what would be deleted, by reason and age. Delete nothing.",
            action="store_true",
        )
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
            "before": read(options, "before", _date, "an ISO 8601 date or time"),
            "retention": read(options, "retention", _duration, "a duration such as 12h, 30d or 3600"),
            "include_active": options["yes"],
            "payloads": options["payloads"],
        }
        bounds = self.bounds(options)
        try:
            Walk(**bounds)
            if options["dry_run"]:
                self._tell_preview(sessions.preview_cleanup(**which), options)
                return
            # Signals are caught after the bar has counted: until then Ctrl-C stops the program as
            # usual.
            with (
                self.progress(options, lambda: _total(sessions, which, bounds), _so_far) as progress,
                stop_signals() as should_stop,
            ):
                result = sessions.cleanup(**which, **bounds, progress=progress, should_stop=should_stop)
        except ArgumentError as error:
            hint = " Use --yes if you mean it." if "future" in str(error) else ""
            raise refused(error, hint) from None
        self._tell(result, options)
        self.end(result)

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


def _total(sessions: UserSessionManager, which: dict[str, Any], bounds: dict[str, Any]) -> int:
    preview = sessions.preview_cleanup(**which)
    counts = (preview.expired, *preview.revoked.values(), preview.payloads)
    total = sum(sum(ages.values()) for ages in counts)
    return min(total, bounds["max_rows"] or total)


def _so_far(done: CleanupResult) -> str:
    payloads = f", {done.payloads} rows of Django's session table" if done.payloads else ""
    return f"{done.expired} expired and {done.revoked} revoked sessions{payloads} so far"


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
