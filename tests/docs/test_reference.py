"""The tables of the reference say what the code says."""

import ast
import re
from datetime import timedelta
from inspect import isfunction

import pytest
from django.core.management import load_command_class

from sessions_ext import signals
from sessions_ext.api.problems import PROBLEMS
from sessions_ext.conf import NAMES, Conf
from sessions_ext.managers import UserSessionManager
from sessions_ext.models import UserSession
from sessions_ext.querysets import UserSessionQuerySet
from sessions_ext.reasons import RevokedReason, ended_by
from tests.docs.pages import PAGES, ROOT, name, rows, section
from tests.test_imports import LEVEL_OF

pytestmark = pytest.mark.once

UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "days": "days"}
DJANGOS = {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color"}


def table(page: str) -> dict[str, list[str]]:
    """The rows of a page's tables, by the text in their first cell's backquotes."""
    found = [row for row in rows((ROOT / "docs/reference" / page).read_text()) if row[0].startswith("`")]
    names = [row[0].strip("`") for row in found]
    assert len(names) == len(set(names))
    return {row[0].strip("`"): row[1:] for row in found}


def value(cell: str) -> object:
    """A default as the table writes it: `"text"`, 15 min, or 0."""
    if cell.startswith("`"):
        return ast.literal_eval(cell.strip("`"))
    number, unit = cell.split() if cell != "0" else ("0", "s")
    return timedelta(**{UNITS[unit]: int(number)})


def test_the_settings_are_those_of_the_code():
    defaults = {name: value(cells[0]) for name, cells in table("settings.md").items()}
    assert defaults == {name: vars(Conf)[name].default for name in NAMES}


def test_the_signals_are_those_of_the_code():
    assert sorted(table("signals.md")) == sorted(signals.__all__)


def test_the_reasons_are_those_of_the_code():
    told = {reason: cells[:2] for reason, cells in table("reasons.md").items()}
    assert told == {each.value: [str(each.label), ended_by(each).value] for each in RevokedReason}


def test_the_checks_are_those_of_the_code():
    sources = " ".join(path.read_text() for path in (ROOT / "sessions_ext").rglob("*.py"))
    assert sorted(table("checks.md")) == sorted(set(re.findall(r"sessions_ext\.[EW]\d{3}", sources)))


def test_the_error_codes_are_those_of_the_code():
    told = {code: int(cells[0]) for code, cells in table("errors.md").items()}
    assert told == {code: status for code, (status, _) in PROBLEMS.items()}


@pytest.mark.parametrize("command", ["cleanup_sessions", "distribute_sessions", "adopt_sessions"])
def test_the_options_are_those_of_the_command(command):
    parser = load_command_class("sessions_ext", command).create_parser("manage.py", "x")
    options = {
        option
        for action in parser._actions
        if action.dest not in DJANGOS and action.dest != "skip_checks"
        for option in action.option_strings
    }
    told = [row[0] for row in rows(section("docs/reference/commands.md", command)) if row[0].startswith("`")]
    assert {option for cell in told for option in re.findall(r"--[\w-]+", cell)} == options


def test_the_columns_are_those_of_the_model():
    columns = {column for cell in table("models.md") for column in re.split(r"`, `", cell)}
    assert columns == {field.name for field in UserSession._meta.get_fields()}


def test_the_modules_have_their_places_in_contributing():
    told = " ".join(row[0] for row in rows((ROOT / "CONTRIBUTING.md").read_text()))
    rooms = re.findall(r"`(\w+)/?`", told)
    assert sorted(rooms) == sorted(set(LEVEL_OF) - {"__init__"})


@pytest.mark.parametrize("documented", [UserSession, UserSessionManager, UserSessionQuerySet])
def test_each_method_of_our_own_is_documented(documented):
    page = (ROOT / "docs/reference/models.md").read_text()
    own = {
        method
        for method, what in vars(documented).items()
        if module_of(what) == documented.__module__ and not method.startswith("_")
    }
    own -= {f"a{method}" for method in own}  # the async twins
    missing = [method for method in own if not re.search(rf"::\s+{method}$", page, re.MULTILINE)]
    assert own
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name)
def test_what_a_page_names_is_there(page):
    """Modules and what is in them, tests, and files. The changelog also names what has gone."""
    text = page.read_text()
    for path in re.findall(r"`(sessions_ext(?:\.\w+)+)`", text):
        if not re.fullmatch(r"sessions_ext\.([EW]\d{3}|[a-z]+_usersession)", path):
            assert is_defined(path), path
    for path, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert re.search(rf"def {test}\(", (ROOT / path).read_text()), f"{path}::{test}"
    for path in re.findall(r"`((?:tests|sessions_ext|docs|example_project)/[\w/.-]+)`", text):
        assert (ROOT / path).exists() or (ROOT / "sessions_ext/templates" / path).exists(), path


def module_of(what: object) -> str | None:
    """The module of a method or a property; None for anything else."""
    function = what.fget if isinstance(what, property) else what
    return function.__module__ if isfunction(function) else None


def is_defined(path: str) -> bool:
    """Whether a module has that name. Found in its source, because extras need not be installed."""
    module, rest = ROOT, path.split(".")
    while rest and ((module / rest[0]).is_dir() or (module / f"{rest[0]}.py").is_file()):
        module /= rest.pop(0)
    source = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    return not rest or any(re.search(rf"\b{word}\b", source.read_text()) for word in rest[:1])
