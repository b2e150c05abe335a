"""The demo, but with the password asked for at once, so that its page can be seen."""

from example_project.settings import *  # noqa: F403
from example_project.settings import SESSIONS_EXT as DEMO

SESSIONS_EXT = {**DEMO, "REAUTHENTICATE_AFTER": 0}
