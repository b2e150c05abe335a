import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from sessions_ext.batches import ArgumentError
from sessions_ext.management.batch_command import BatchCommand, refused, stop_signals
from sessions_ext.other_packages import SOURCES, Adoption, AdoptionResult, adopt_sessions


class Command(BatchCommand):
    help = (
        "Adopts the sessions of another package. Who is logged in stays logged in. "
        "Exits with 0 when it has finished, and with 75 when it was stopped with work left."
    )
    default_batch_size = 200

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", help="The package.", choices=SOURCES, required=True, dest="source")
        self.add_bounds(parser)
        parser.add_argument("--dry-run", help="Count, and write nothing.", action="store_true")
        parser.add_argument(
            "--end-missing",
            help="End the logins of an earlier run that the package has no more.",
            action="store_true",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        source, bounds = options["source"], self.bounds(options)
        which = {"dry_run": options["dry_run"], "end_missing": options["end_missing"]}
        try:
            count = Adoption(SOURCES[source]).count
            with (
                self.progress(options, count, _line) as progress,
                stop_signals() as should_stop,
            ):
                result = adopt_sessions(source, **which, **bounds, progress=progress, should_stop=should_stop)
        except ArgumentError as error:
            raise refused(error) from None
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], **asdict(result)}))
        elif options["verbosity"]:
            would = "Would be: " if options["dry_run"] else ""
            rest = "" if result.is_complete else " More are left."
            self.stdout.write(f"{would}{_line(result)}.{rest}")
        self.end(result)


def _line(result: AdoptionResult) -> str:
    missing = f", {result.missing} missing ones ended" if result.missing else ""
    return (
        f"{result.adopted} logins adopted, {result.anonymous} sessions without a user copied,"
        f" {result.known} there already, {result.ended} of nobody left behind{missing}"
    )
