"""Sphinx builds these pages: python -m sphinx -W -n -b html docs build/docs"""

import os
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import django

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
os.environ.setdefault("DATABASE_URL", "sqlite://:memory:")
if find_spec("ninja"):  # of the extra `demo`, which autodoc needs
    django.setup()

project = "django-sessions-ext"
author = "The django-sessions-ext authors"
project_copyright = author
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["attrs_inline", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"

html_theme = "furo"
html_title = f"django-sessions-ext {release}"
html_theme_options = {"source_view_link": "", "top_of_page_buttons": []}
html_static_path: list[str] = []
exclude_patterns = ["pictures"]
