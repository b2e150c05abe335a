"""Which device is calling, by its user agent."""

import re
from functools import lru_cache

import ua_parser

_URL = re.compile(r"\+?https?://[^\s;()]+")
_PROGRAM = r"(?!Mozilla)([A-Za-z][\w.-]{0,99})/\d[\w.]*"
# One that names itself, and in a word where it runs: Wget/1.21.3 (linux-gnu).
_TOOL = re.compile(rf"{_PROGRAM}(?: \([^;()]+\)(?: [\w-]+/[\w.]+)*)?")
# Where one stands that ua-parser has not heard of.
_NAMED = re.compile(rf"(?:^|compatible; |\) (?=PowerShell)){_PROGRAM}(?=;| \(|$)")
_BOT = re.compile("bot|spider|crawl", re.IGNORECASE)
# What is better known by its own name than by its system's.
_APPLIANCE = re.compile(r"\b(?:iPhone|iPad|PlayStation \d|Xbox|Nintendo \w+|CrKey|Roku|AFT(?=[A-Z]))")
_TV = re.compile(r"TV\b|BRAVIA")


@lru_cache(maxsize=1024)
def describe_device(user_agent: str) -> str:
    """The default DEVICE_INFO: "Chrome on macOS"; "" for a user agent nobody knows."""
    user_agent = _URL.sub("", user_agent).strip()  # the words in it name nothing
    if tool := _TOOL.fullmatch(user_agent):
        return tool[1]
    parsed = ua_parser.parse(user_agent)
    named = _NAMED.search(user_agent)
    browser = parsed.user_agent.family if parsed.user_agent else named[1] if named else ""
    model = parsed.device.family if parsed.device else ""
    if model == "Spider":
        return browser if _BOT.search(browser) else f"{browser} (bot)".lstrip()
    if "WebView" in browser:
        browser = "App"
    browser = re.sub(r" (Mobile|iOS)\b|\bMobile ", "", browser.replace("%20", " "))
    browser = {"IE": "Internet Explorer"}.get(browser, browser)
    system = parsed.os.family if parsed.os else ""
    system = {"Mac OS X": "macOS", "Web0S": "LG TV", "Tizen": "Samsung TV", "ATV OS X": "Apple TV"}.get(
        system, system
    )
    if known := _APPLIANCE.search(f"{model};{user_agent}"):
        system = {"CrKey": "Chromecast", "AFT": "Fire TV"}.get(known[0], known[0])
    elif system == "Android" and _TV.search(model):
        system = "Android TV"
    return " on ".join(dict.fromkeys(filter(None, (browser, system))))
