"""Which device is calling, by its user agent. ua-parser knows most devices; the tables here add the
others."""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

import ua_parser

from .names import without_links

# A word in the user agent, and the browser or app that sends it. The first match counts.
APPS = {
    "MicroMessenger/": "WeChat",
    "AlipayClient/": "Alipay",
    "LinkedInApp": "LinkedIn",
    " Barcelona ": "Threads",
    "BytedanceWebview/": "TikTok",
    "Slack_SSB/": "Slack",
    " Teams/": "Teams",
    "Valve Steam": "Steam",
    "FxiOS/Focus": "Firefox Focus",
    " Focus/": "Firefox Focus",
    " Klar/": "Firefox Focus",
    "LibreWolf/": "LibreWolf",
    "Waterfox/": "Waterfox",
    "MullvadBrowser/": "Mullvad Browser",
    " Floorp/": "Floorp",
    " Zen/": "Zen",
    " Arc/": "Arc",
    " Comet/": "Comet",
    " Dia/": "Dia",
    " Helium/": "Helium",
    " Orion/": "Orion",
    "Ecosia ": "Ecosia",
    "HuaweiBrowser/": "Huawei Browser",
}
# The same for devices and their systems. Phones come first: apps of televisions and cars run on them.
SYSTEMS = {
    "VisionOS": "Apple Vision Pro",
    "visionOS": "Apple Vision Pro",
    "watchOS": "Apple Watch",
    "tvOS": "Apple TV",
    "AppleTV": "Apple TV",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "OpenHarmony": "HarmonyOS",
    "HarmonyOS": "HarmonyOS",
    "Android Automotive": "Android Automotive",
    "; SM-R": "Galaxy Watch",
    "; AFT": "Fire TV",
    "CrKey": "Chromecast",
    "; Chromecast": "Chromecast",
    "OculusBrowser/": "Meta Quest",
    "; Quest ": "Meta Quest",
    "Roku": "Roku",
    "FamilyHub": "Samsung Family Hub",
    "Tizen": "Samsung TV",
    "Web0S": "LG TV",
    "webOS.TV": "LG TV",
    "VIDAA": "VIDAA TV",
    "HbbTV/": "Smart TV",
    "SmartTV": "Smart TV",
    "PlayStation 5": "PlayStation 5",
    "PlayStation 4": "PlayStation 4",
    "PlayStation": "PlayStation",
    "Xbox": "Xbox",
    "Nintendo Switch 2": "Nintendo Switch 2",
    "Nintendo Switch": "Nintendo Switch",
    "Nintendo 3DS": "Nintendo 3DS",
    "Nintendo WiiU": "Wii U",
    "Steam Deck": "Steam Deck",
    " Tesla/": "Tesla",
    "macOS": "macOS",
    "Macintosh": "macOS",
    "MacBook": "macOS",
    " iOS": "iOS",
    "(iOS": "iOS",
}
# What a device is, by a word in its name. The first match counts; icon.html draws it.
KINDS = {
    "tv": (" TV", "Roku", "Chromecast", "PlayStation", "Xbox", "Nintendo"),
    "tablet": ("iPad", "Silk"),
    "phone": ("iPhone", "Android", "iOS", "HarmonyOS"),
    "desktop": ("macOS", "Windows", "Linux", "Ubuntu", "Chrome OS", "Fedora", "BSD"),
}
# What ua-parser calls a browser, though it is a library or a shell around a browser. An app that names
# itself goes by its own name, and any other by the name here.
SHELLS = {
    "Electron": "App",
    "Chrome Mobile WebView": "App",
    "Mobile Safari UI/WKWebView": "App",
    "Apple Mail": "App",
    "CFNetwork": "CFNetwork",
    "okhttp": "okhttp",
    "Apache-HttpClient": "Apache-HttpClient",
    "Python Requests": "python-requests",
    "Android": "",
}
# Words in such a user agent that are not an app's own name, but a library's or a browser engine's.
LIBRARIES = {"okhttp", "CFNetwork", "Darwin", "Alamofire", "AFNetworking", "Dalvik", "Java", "Dart"}
LIBRARIES |= {"Apache-HttpClient", "Electron", "iOS", "Android", "NetType", "Language", "Scale"}
ENGINES = {"Mozilla", "AppleWebKit", "Chrome", "Chromium", "Safari", "Version", "Mobile", "Gecko", "ArkWeb"}
# Programs that send their name without a version.
PROGRAMS = {"node", "undici", "node-fetch", "Ruby", "ktor-client", "Ktor client", "Symfony HttpClient (Curl)"}
# The name that they or ua-parser use, and the name that people use.
RENAMED = {
    "IE": "Internet Explorer",
    "MobileSafari": "Safari",
    "Code": "VS Code",
    "discord": "Discord",
    "obsidian": "Obsidian",
    "Mac OS X": "macOS",
    "HbbTV": "",
}

_URL = re.compile(r"\+?https?://[^\s;()]+")
_PROGRAM = r"(?!Mozilla)([A-Za-z][\w.-]{0,99})(?:/| v)\d[\w.]*"
_PHONE = r"Android|(?:i|tv|watch|vision)OS|iP(?:hone|ad)|[Mm]ac|(?:Open)?Harmony"
# A program that sends its name and perhaps its system: Wget/1.21.3 (linux-gnu).
_TOOL = re.compile(rf"{_PROGRAM}(?: \((?!{_PHONE})[^;()]+\)(?: [\w-]+/[\w.]+)*)?")
# Where the name of a program stands that ua-parser does not know.
_NAMED = re.compile(rf"(?:^|compatible; |\) (?=PowerShell)){_PROGRAM}(?=;| \(|$| [\w-]+(?:/\d|$))")
# An app's own name at the beginning: MyShop/5.2, My Shop Android/5.2, MyShop 5.2, MyShop (Android 15).
_APP = re.compile(
    r"(?!Mozilla/)(\d{0,3}[A-Za-z%][\w.%+-]{0,99}(?: (?!v?\d)[\w.%+-]{1,99}){0,3}?)"
    r"(?:(?: for)? (?:Android|iOS)(?: App)?)?(?:[/ ]v?\d| \()"
)
_PRODUCT = re.compile(r"(?<![\w.%-])(\d{0,3}[A-Za-z%][\w.%+-]{0,99})/v?\d")
_COMMENT = re.compile(r"\([^()]*\)")
_BOT = re.compile(r"bot\b|bot-|spider|crawl", re.IGNORECASE)
_TV = re.compile(r"TV\b|BRAVIA")
_MAC = re.compile(r"\b(?:iMac|Mac(?:mini|Pro)?\d|x86_64|i386)")


@lru_cache(maxsize=1024)
def describe_device(user_agent: str) -> str:
    """The default DEVICE_INFO: "Chrome on macOS", or "" for an unknown user agent. No mail client turns
    any part of it into a link."""
    user_agent = _URL.sub("", user_agent).strip()  # the words in a URL name no device
    if user_agent in PROGRAMS:
        return user_agent
    if tool := _TOOL.fullmatch(user_agent):
        return without_links(tool[1])
    parsed = ua_parser.parse(user_agent)
    model = parsed.device.family if parsed.device else ""
    family = parsed.user_agent.family if parsed.user_agent else ""
    browser = _browser(user_agent, family)
    if _BOT.search(browser):
        return without_links(browser)
    if model == "Spider" and browser == family:
        return without_links(f"{browser} (bot)".lstrip())
    system = _system(user_agent, parsed.os.family if parsed.os else "", model)
    return " on ".join(dict.fromkeys(filter(None, map(without_links, (browser, system)))))


def kind_of_device(name: str) -> str:
    """What a device of this name is: desktop, phone, tablet, tv or other."""
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")


def _browser(user_agent: str, family: str) -> str:
    if app := _first(APPS, user_agent):
        return app
    if " ArkWeb/" in user_agent:
        family = "Chrome Mobile WebView"
    elif " CFNetwork/" in user_agent:
        family = "CFNetwork"
    is_page = user_agent.startswith("Mozilla/")
    is_library = family in SHELLS or f" {family}/" in user_agent
    own = _APP.match(user_agent)
    if own and own[1] not in LIBRARIES and (is_library if family else " " in own[0]):
        family = own[1]
    elif not family:
        named = _NAMED.search(user_agent)
        family = named[1] if named else ""
    elif family in SHELLS:
        nobody = LIBRARIES | ENGINES if is_page else LIBRARIES
        products = _PRODUCT.findall(_COMMENT.sub("", user_agent))
        family = next((name for name in products if name not in nobody), SHELLS.get(family, family))
    family = re.sub(r" (Mobile|iOS)\b|\bMobile ", "", unquote(family))
    return RENAMED.get(family, family)


def _system(user_agent: str, family: str, model: str) -> str:
    if system := _first(SYSTEMS, user_agent):
        return system
    if " Darwin/" in user_agent:  # ua-parser takes every Darwin for a phone
        return "macOS" if _MAC.search(user_agent) else ""
    if family == "Android" and _TV.search(model):
        return "Android TV"
    return RENAMED.get(family, family)


def _first(table: Mapping[str, str], user_agent: str) -> str:
    return next((name for word, name in table.items() if word in user_agent), "")
