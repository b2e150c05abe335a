"""The translations, brought up to date with the texts of the app (this needs gettext's tools):

    python -m tests.translations

Each text that is new stands untranslated in sessions_ext/locale/*/LC_MESSAGES/django.po then, or
marked fuzzy: translate it, and run this again. tests/test_locale.py tells what is missing."""

import os
import sys
from pathlib import Path

import django
from django.core.management import call_command

APP = Path(__file__).parent.parent / "sessions_ext"
LANGUAGES = ["de", "es", "fr"]


def update(app: Path = APP) -> None:
    """Write the catalogues of the app at `app`: its texts into django.po, and these into django.mo."""
    before = os.getcwd()
    os.chdir(app)
    try:
        call_command(
            "makemessages",
            locale=LANGUAGES,
            no_wrap=True,
            no_obsolete=True,
            add_location="never",
            verbosity=0,
        )
        call_command("compilemessages", locale=LANGUAGES, verbosity=0)
    finally:
        os.chdir(before)


if __name__ == "__main__":
    sys.path.insert(0, str(APP.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
    django.setup()
    update()
