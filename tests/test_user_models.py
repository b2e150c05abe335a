"""The rules hold for users whose primary key is a UUID, a text, or that of a parent: the modules that
depend on the user model run again with each, in a process of their own, on the same server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = [
    "managers",
    "models",
    "stores",
    "middleware",
    "receivers",
    "security",
    "tokens",
    "api",
    "admin",
    "testing",
    "views",
    "new_device",
    "statements",
]
RUNS = {
    "uuid": (MODULES, ""),
    "text": ([*MODULES, "verdicts"], ""),
    "child": (["receivers", "statements", "verdicts"], "statements or parent or json"),
}


@pytest.mark.once
@pytest.mark.parametrize("model", RUNS)
def test_the_suite_passes_with_another_user_model(model, request):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:cov"]
    settings = f"--ds={os.environ['DJANGO_SETTINGS_MODULE']}"
    modules, chosen = RUNS[model]
    files = [str(HERE / f"test_{module}.py") for module in modules]
    result = subprocess.run(
        [*command, settings, "-k", chosen, *files],
        env=os.environ | {"USER_MODEL": model},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
