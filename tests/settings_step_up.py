"""The demo, with a page that asks for a fresh login, one that makes a login old, and one place for Grace."""

import os

from example_project.settings import *  # noqa: F403
from example_project.settings import SESSIONS_EXT as DEMO

LANGUAGE_CODE = os.environ.get("LANGUAGE_CODE", "en")
SESSIONS_EXT = {**DEMO, "MAX_SESSIONS": "tests.stepping_up_demo.places", "ON_LIMIT": "deny"}
ROOT_URLCONF = "tests.stepping_up_demo"
