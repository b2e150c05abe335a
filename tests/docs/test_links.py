"""Each link leads to a file or a heading that is there. What stands in docs/, Sphinx checks as well."""

import re

import pytest

from tests.docs.pages import FENCE, PAGES, ROOT, name

pytestmark = pytest.mark.once

LINK = re.compile(
    r"(?<!\\)\]\((?P<inline>[^)\s]+)\)"
    r"|^\[[^\]]+\]: (?P<reference>\S+)$"
    r"|(?:src|srcset)=\"(?P<picture>[^\"]+)\"",
    re.MULTILINE,
)


def links(text: str) -> list[str]:
    prose = FENCE.sub("", text)
    return [next(filter(None, found.groups())) for found in LINK.finditer(prose)]


def anchors(text: str) -> set[str]:
    """As GitHub and MyST make them of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_link_of_a_page_leads_somewhere(page):
    for link in links(page.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{name(page)}: {link}"
        assert target.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(target.read_text()), f"{name(page)}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_has_one_title(page):
    """A line of code that begins with # stands in a fence that begins a line, or it would be one, too."""
    prose = FENCE.sub(lambda found: "# included" if "{include}" in found["kind"] else "", page.read_text())
    assert len(re.findall(r"^# ", prose, re.MULTILINE)) == 1


def test_no_page_is_forgotten():
    """The front page leads to every page."""
    index = (ROOT / "docs/index.md").read_text()
    toctrees = re.findall(r"```\{toctree\}\n(?:.*\n)*?\n((?:.*\n)*?)```", index)
    named = [line for tree in toctrees for line in tree.split()]
    pages = {name(page)[5:-3] for page in PAGES if page.is_relative_to(ROOT / "docs")}
    found = {page for page in pages for entry in named if page == entry or _globbed(page, entry)}
    assert pages - found == {"index"}


def _globbed(page: str, entry: str) -> bool:
    return entry.endswith("*") and page.rpartition("/")[0] == entry[:-1].rstrip("/") and page != "index"


def test_the_readme_is_read_in_one_go():
    """What somebody needs to decide, and pictures that load on a train."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    pictures = list((ROOT / "docs/pictures").glob("*.png"))
    assert len(pictures) == 4
    assert all(picture.stat().st_size < 150_000 for picture in pictures)
