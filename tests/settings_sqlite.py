"""The test settings on SQLite: pytest --ds=tests.settings_sqlite"""

import os
import tempfile
from pathlib import Path

from tests.patience import SECONDS

# A file, because the tests' threads each open a connection of their own.
_folder = tempfile.TemporaryDirectory(prefix="sessions_ext_")
os.environ["DATABASE_URL"] = "sqlite:///" + str(Path(_folder.name) / "db.sqlite3")

from tests.settings import *  # noqa: E402, F403

DATABASES["default"]["OPTIONS"] = {"timeout": SECONDS}  # noqa: F405
DATABASES["default"]["TEST"] = {"NAME": str(Path(_folder.name) / "test.sqlite3")}  # noqa: F405
