"""What a project gets when it installs the package."""

import subprocess
import sys
from importlib.resources import files

import pytest
from django.core.management import call_command

from tests.minimums import MINIMUMS, minimums

SETUP = """
import sys
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "sessions_ext",
    ],
    SECRET_KEY="s",
)
django.setup()
from django.core.checks import run_checks

run_checks(tags=["sessions_ext"])
import sessions_ext.management.commands.cleanup_sessions
import sessions_ext.middleware

assert "sessions_ext.admin" in sys.modules
print(*sys.modules)
"""


@pytest.mark.django_db
def test_the_migrations_are_those_of_the_models():
    call_command("makemigrations", "sessions_ext", check=True, dry_run=True, verbosity=0)


def test_the_page_keeps_its_size_on_a_site_that_sets_the_size_of_the_root():
    """Many set it to 62.5%, of which a rem is 10 pixels."""
    css = files("sessions_ext").joinpath("static/sessions_ext/sessions.css").read_text()
    assert "font: 16px" in css
    assert "rem" not in css


def test_the_gate_pins_the_lowest_versions_that_are_allowed():
    assert MINIMUMS.read_text().splitlines() == minimums()


def test_the_package_says_that_it_is_typed():
    assert files("sessions_ext").joinpath("py.typed").is_file()


def test_the_app_imports_no_extra():
    run = subprocess.run([sys.executable, "-c", SETUP], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.split())
    assert "sessions_ext.models" in loaded
    extras = {"ninja", "jwt", "factory", "python_ipware", "geoip2", "psycopg", "sessions_ext.testing"}
    assert not loaded & extras
