"""The rules hold for users whose primary key is a UUID, a text, or that of a parent: the modules that
depend on the user model run again with each, in a process of their own, on the same server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATHS = [
    "managers",
    "test_models.py",
    "stores",
    "test_middleware.py",
    "receivers",
    "test_security.py",
    "tokens",
    "api",
    "admin",
    "test_testing.py",
    "views",
    "new_device",
    "db/test_statements.py",
]
# What stands beside these and does not depend on it.
APART = [
    "api/test_openapi.py",
    "admin/test_overview.py",
    "admin/test_in_browser.py",
    "views/test_in_browser.py",
]
RUNS = {
    "uuid": (PATHS, ""),
    "text": ([*PATHS, "verdicts"], ""),
    "child": (
        ["receivers", "db/test_statements.py", "verdicts"],
        "statements or parent or json",
    ),
}


@pytest.mark.once
@pytest.mark.parametrize("model", RUNS)
def test_the_suite_passes_with_another_user_model(model, request):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:cov"]
    settings = f"--ds={os.environ['DJANGO_SETTINGS_MODULE']}"
    paths, chosen = RUNS[model]
    files = [str(HERE / path) for path in paths]
    apart = [f"--ignore={HERE / path}" for path in APART]
    result = subprocess.run(
        [*command, settings, "-k", chosen, *apart, *files],
        env=os.environ | {"USER_MODEL": model},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
