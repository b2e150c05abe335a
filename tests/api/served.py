"""The settings of the tests, for a server whose process keeps its connection to the database open."""

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["CONN_MAX_AGE"] = None
