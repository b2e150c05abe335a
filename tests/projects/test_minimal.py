"""Projects that lack what most have, and all extras, start, and one revoke ends a login in each."""

import json
import os
import subprocess
import sys

import pytest

from tests.patience import SECONDS

LACKS = {
    "the admin": ["admin"],
    "messages": ["admin", "messages"],
    "static files": ["staticfiles"],
    "the sessions' table": ["sessions"],
    "whatever uses content types": ["admin", "messages", "sessions", "staticfiles"],
}
EXTRAS = ["ninja", "jwt", "factory", "geoip2", "tqdm", "psycopg", "redis", "channels"]
NO_COOKIES = ["admin", "messages", "sessions", "staticfiles"]


def seen_in_a_project(*arguments):
    command = [sys.executable, "-W", "error", "-m", "tests.projects.minimal", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("without", LACKS.values(), ids=LACKS)
def test_one_browser_signs_the_other_out_in_a_project_without(without):
    assert seen_in_a_project("cookies", *without, *EXTRAS) == {
        "logins": ["/devices/", "/devices/"],
        "sign-out buttons": 2,
        "revoke": "/devices/",
        "here": 200,
        "there": "/login/?next=/devices/",
    }


def test_a_revoke_ends_a_token_in_a_project_that_has_no_cookies():
    assert seen_in_a_project("tokens", *NO_COOKIES) == {
        "revoke": True,
        "here": "ada",
        "there": None,
        "refresh": None,
    }
