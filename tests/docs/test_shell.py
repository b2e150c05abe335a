"""Commands are ones that there are, with options that they take. (The curl lines run in
tests/test_demo.py and tests/check_quickstart.py.)"""

import re
import shlex
import subprocess
import tomllib

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from tests.docs.pages import ROOT, Block, blocks

pytestmark = pytest.mark.once

CRON = re.compile(r"^(?:[\d*/,-]+ ){5} *", re.MULTILINE)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
COMMANDS = [block for kind in ("sh", "text") for block in blocks(kind)]


def commands(block: Block) -> list[list[str]]:
    """The words of each command of Django's in a block."""
    parts = re.split(r"&&|;|\||\n", CRON.sub("", block.code))
    return [shlex.split(part) for part in parts if "manage.py " in part]


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_the_shell_can_read_it(block):
    run = subprocess.run(["bash", "-n"], input=CRON.sub("", block.code), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("block", [block for block in COMMANDS if "pip install" in block.code], ids=str)
def test_the_extras_are_there(block):
    for extras in re.findall(r"\[([\w,-]+)\]", block.code):
        assert set(extras.split(",")) <= set(EXTRAS)


@pytest.mark.parametrize("block", [block for block in COMMANDS if "manage.py " in block.code], ids=str)
def test_the_commands_of_django_are_there(block):
    for words in commands(block):
        command, *options = words[words.index("manage.py") + 1 :]
        app = get_commands().get(command)
        if app is None:
            assert (ROOT / "example_project/management/commands" / f"{command}.py").is_file()
            continue
        try:
            load_command_class(app, command).create_parser("manage.py", command).parse_args(options)
        except (CommandError, SystemExit) as error:
            pytest.fail(f"{block}: {shlex.join(words)}: {error}")


@pytest.mark.parametrize("block", [block for block in COMMANDS if "-m tests" in block.code], ids=str)
def test_the_modules_are_there(block):
    for module in re.findall(r"-m (tests[\w.]*)", block.code):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
