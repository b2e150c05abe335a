"""Programs that come with the machine, and not with `pip install`. A test that drives one asks needs() for
it: where the program is missing the test is skipped, and the run's last lines say which of Debian's packages
bring it back. Where CI is set it fails, so that no gate is green for what it did not do."""

import os
import shutil
from collections.abc import Iterable

import pytest

PACKAGES = {
    "chromium": "chromium",
    "curl": "curl",
    "mariadbd": "mariadb-server",
    "msgfmt": "gettext",
    "pgbouncer": "pgbouncer",
    "redis-server": "redis-server",
}
_MISSING = "there is no {}"


def path_of(program: str) -> str | None:
    """The path of a program, or None. Debian keeps some servers where only root looks for programs."""
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


def needs(program: str) -> str:
    """The path of a program."""
    path = path_of(program)
    if path is None:
        reason = _MISSING.format(program)
        pytest.fail(reason, pytrace=False) if os.environ.get("CI") else pytest.skip(reason)
    return path


def packages_for(reasons: Iterable[str]) -> list[str]:
    """The packages that bring back what was skipped for these reasons."""
    reasons = list(reasons)
    return sorted(
        package
        for program, package in PACKAGES.items()
        if any(reason.endswith(_MISSING.format(program)) for reason in reasons)
    )
