"""What the commands share that work in batches: their options, the progress bar, and how they stop."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

WORK_LEFT = 75  # EX_TEMPFAIL of sysexits.h: run it again


class BatchCommand(BaseCommand):
    """A command with bounds, which Ctrl-C and SIGTERM stop between two batches."""

    default_batch_size: int

    def add_bounds(self, parser: CommandParser) -> None:
        # Numbers stay texts here, so that a wrong one gets a line of its own instead of argparse's
        # usage. A negative number of any kind is a value, not an option.
        parser._negative_number_matcher = re.compile(r"-\.?\d")
        size = self.default_batch_size
        parser.add_argument("--batch-size", help=f"Rows per transaction. Default: {size}.", default=size)
        parser.add_argument("--sleep", help="Seconds to wait between batches. Default: 0.", default=0)
        parser.add_argument("--max-rows", help="Stop after this many rows.")
        parser.add_argument("--max-seconds", help="Stop after this many seconds.")
        parser.add_argument(
            "--json", help="Write one JSON object instead of the summary.", action="store_true"
        )

    def bounds(self, options: dict[str, Any]) -> dict[str, Any]:
        return {
            "batch_size": read(options, "batch_size", int, "a whole number"),
            "sleep": read(options, "sleep", float, "a number of seconds"),
            "max_rows": read(options, "max_rows", int, "a whole number"),
            "max_seconds": read(options, "max_seconds", float, "a number of seconds"),
        }

    def progress(
        self, options: dict[str, Any], total: Callable[[], int], tell: Callable[[Any], str]
    ) -> AbstractContextManager[Callable[[Any], None] | None]:
        """A context that yields what to call after each batch with a result, or None. It writes what
        `tell(result)` says, or moves a bar towards `total()` to the result's `total`."""
        if options["verbosity"] > 1:
            out = self.stderr if options["json"] else self.stdout

            def tell_batch(result: Any) -> None:
                out.write(tell(result), str)
                out.flush()

            return nullcontext(tell_batch)
        if options["json"] or not options["verbosity"] or not sys.stderr.isatty():
            return nullcontext()
        try:
            from tqdm import tqdm
        except ImportError:
            return nullcontext()
        return _bar(tqdm, total())

    @staticmethod
    def end(result: Any) -> None:
        """Exit with WORK_LEFT if the run was stopped before it had finished."""
        if not result.is_complete:
            sys.exit(WORK_LEFT)


@contextmanager
def _bar(tqdm: Any, total: int) -> Iterator[Callable[[Any], None]]:
    with tqdm(total=total, unit=" rows", unit_scale=True, file=sys.stderr) as bar:
        yield lambda result: bar.update(result.total - bar.n)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
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


def read(options: dict[str, Any], name: str, parse: Callable[[str], Any], what: str) -> Any:
    """The value of an option, parsed if it is a text."""
    value = options[name]
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except (ValueError, OverflowError):
        raise CommandError(f"{option(name)}: {value!r} is not {what}.") from None


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def refused(error: ValueError, hint: str = "") -> CommandError:
    """An ArgumentError, told of the command's option."""
    name, _, rest = str(error).partition(" ")
    return CommandError(f"{option(name)} {rest}{hint}")
