"""The rules of cleanup hold in a project that has foreign keys to UserSession: their tests run again with
such an app installed, in a process of their own, on the same server."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FILES = ["notes/cascades.py", "cleanup"]
# What stands beside these and has no such rule.
APART = ["cleanup/test_batches.py"]
# And what foreign keys have no part in.
WHAT_THE_COMMAND_SAYS = "bad_value or signal or terminal or cron or bar or json or writer_on_sqlite"


def test_cleanup_keeps_its_rules_with_foreign_keys_to_a_session(request):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:cov"]
    settings = f"--ds={os.environ['DJANGO_SETTINGS_MODULE']}"
    files = [str(HERE / path) for path in FILES]
    apart = [f"--ignore={HERE / path}" for path in APART]
    result = subprocess.run(
        [*command, settings, "-k", f"not ({WHAT_THE_COMMAND_SAYS})", *apart, *files],
        env=os.environ | {"FOREIGN_KEYS": "1"},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
