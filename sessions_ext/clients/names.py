"""Names that a stranger chose, made safe to print in an e-mail."""

import re
from unicodedata import normalize

# Characters of URLs and addresses are removed. The ideographic full stop is a dot in host names, too.
_SIGNS = {**dict.fromkeys(map(ord, ":/\\@<>")), ord("。"): "."}
_DOTTED = re.compile(r"(?<![^ .])[^ .]+(?:\.+[^ .]+)+")
_DIGITS = re.compile(r"\d(?:[ ()+-]*\d){6,}")
_REVERSED = re.compile(r"(?:com|org|net|dev|app|edu|gov|info|[a-z]{2})\.", re.IGNORECASE)


def without_links(name: str) -> str:
    """The name without anything that a mail client would turn into a link: hosts, URLs, e-mail
    addresses, telephone numbers. "Node.js" is "Nodejs", "com.example.Notes" is "Notes"."""
    name = " ".join(normalize("NFKC", name).split()).translate(_SIGNS)
    # Invisible characters go first: without them, two words may be a host name.
    name = "".join(filter(str.isprintable, name))
    return _DIGITS.sub("", _DOTTED.sub(_dotless, name)).strip(" -+_.")


def _dotless(dotted: re.Match[str]) -> str:
    first, *_, last = labels = dotted[0].split(".")
    if len(labels) == 2:
        return first + last
    return last if _REVERSED.match(dotted[0]) else ""
