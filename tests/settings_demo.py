"""The demo, but with the password asked for at once, so that its page can be seen, and in the
language that LANGUAGE_CODE names."""

import os

from example_project.settings import *  # noqa: F403
from example_project.settings import SESSIONS_EXT as DEMO

LANGUAGE_CODE = os.environ.get("LANGUAGE_CODE", "en")
SESSIONS_EXT = {**DEMO, "REAUTHENTICATE_AFTER": 0}
