"""The pages: README and what stands in docs/, and the blocks of code in them."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CODE_OF_CONDUCT.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^ *```(?P<kind>[^\n]*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}[^\n]*\n)+(?=\n|\Z)")


@dataclass(frozen=True)
class Block:
    """A block of code: where it begins, of which kind it is, and what it says."""

    page: Path
    line: int
    kind: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def fenced(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text[: found.start()].count("\n") + 1, found["kind"], textwrap.dedent(found["code"]))
        for found in FENCE.finditer(text)
    ]


def indented(page: Path) -> list[Block]:
    """Blocks of commands that are set in by four spaces, which no list does."""
    text = FENCE.sub(lambda found: "\n" * found[0].count("\n"), page.read_text())
    return [
        Block(page, text[: found.start()].count("\n") + 1, "sh", textwrap.dedent(found[0]))
        for found in INDENTED.finditer(text)
    ]


def blocks(kind: str) -> list[Block]:
    found = [block for page in PAGES for block in fenced(page) if block.kind == kind]
    return found + [block for page in PAGES for block in indented(page)] if kind == "sh" else found


def section(page: str, title: str) -> str:
    """The text below a heading of a page, up to the next one of its level or above."""
    text = (ROOT / page).read_text()
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {title!r}"
    return found[2]


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, each a list of its cells."""
    lines = [
        line for line in text.splitlines() if line.startswith("|") and not re.match(r"\|[-: |]+\|$", line)
    ]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
