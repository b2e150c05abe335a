"""On a machine without the programs that tests drive, the suite passes, and says what it left out."""

import os
import subprocess
import sys

import pytest

from tests.patience import SECONDS
from tests.programs import PACKAGES, needs


@pytest.fixture
def run_without_programs(tmp_path, request):
    def run(**environment):
        command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-p", "no:cov"]
        command += [f"--ds={os.environ['DJANGO_SETTINGS_MODULE']}"]
        command += ["tests/test_locale.py", "-k", "every_text_is_translated"]
        inherited = {name: value for name, value in os.environ.items() if name != "CI"}
        return subprocess.run(
            command,
            env=inherited | {"PATH": str(tmp_path)} | environment,
            cwd=request.config.rootpath,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


def test_what_needs_a_missing_program_is_skipped_and_the_last_lines_name_its_package(run_without_programs):
    done = run_without_programs()
    assert done.returncode == 0, done.stdout + done.stderr
    *_, install, totals = done.stdout.splitlines()
    assert install.split() == ["apt-get", "install", "gettext"]
    assert "3 skipped" in totals


def test_in_ci_a_missing_program_is_an_error(run_without_programs):
    done = run_without_programs(CI="true")
    assert done.returncode == 1
    assert "there is no msgfmt" in done.stdout


@pytest.mark.parametrize("program", PACKAGES)
def test_a_program_is_known_by_its_path(program, tmp_path, monkeypatch):
    path = tmp_path / program
    path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert needs(program) == str(path)
