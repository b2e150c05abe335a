"""The lowest versions that pyproject.toml allows, of all that the app and its extras need:

    python -m tests.minimums > tests/minimums.txt

The gate runs the tests that concern them with exactly these (pip's --constraint); tests/test_packaging.py
tells when the file is behind."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
MINIMUMS = ROOT / "tests/minimums.txt"
# What whoever works on the app installs is not installed beside other packages, and has no part here.
TOOLS = {"bench", "clients", "company", "dev", "docs"}
# It is no extra, but the app describes itself to it.
BESIDE = {"drf-spectacular"}


def minimums() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    needed = {
        needs.name: needs
        for group, texts in groups.items()
        for needs in map(Requirement, texts)
        if needs.name in BESIDE or (group not in TOOLS and needs.name != project["name"])
    }
    return [pinned(needs) for _, needs in sorted(needed.items())]


def pinned(needs: Requirement) -> str:
    (lowest,) = [each.version for each in needs.specifier if each.operator == ">="]
    return f"{needs.name}=={lowest}" + (f"; {needs.marker}" if needs.marker else "")


if __name__ == "__main__":
    print(*minimums(), sep="\n")
