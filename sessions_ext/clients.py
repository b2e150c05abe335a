"""Who is calling: address, device and place. Each answer comes from a dotted path
that a project can change, and each fails open: no failure here fails a login."""

import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import ua_parser
from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string

from .conf import conf

logger = logging.getLogger("sessions_ext")

USER_AGENT_LENGTH = 1024
# Control characters, and halves of surrogate pairs, which no database stores.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
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
_GEOIP_FILES = ("GEOIP_CITY", "GEOIP_COUNTRY")


@dataclass(frozen=True)
class Client:
    ip_address: str | None
    user_agent: str
    device_info: str
    location: str


def describe(request: HttpRequest | None, ip_address: str | None = None, user_agent: str = "") -> Client:
    """What is known of a caller; an address or user agent given outright wins over the request's."""
    address = normalise_ip(ip_address) or client_ip(request)
    agent = _agent(user_agent or _header(request, "HTTP_USER_AGENT"))
    return Client(
        ip_address=address,
        user_agent=agent,
        device_info=_device(agent),
        location=_text(_ask(conf.LOCATION, address) if conf.LOCATION and address else "", 255),
    )


def client_ip(request: HttpRequest | None) -> str | None:
    """The caller's address by CLIENT_IP, normalised; None where there is none."""
    return None if request is None else normalise_ip(_ask(conf.CLIENT_IP, request))


def client_device(request: HttpRequest | None) -> str:
    """The caller's device by DEVICE_INFO; "" where it is not known."""
    return _device(_agent(_header(request, "HTTP_USER_AGENT")))


def normalise_ip(value: Any) -> str | None:
    """An address as the database stores it: without port, brackets or zone, and
    IPv4-mapped IPv6 as IPv4 (RFC 4291, 2.5.5.2). None if it is not an address."""
    return _normalised(str(value or "").strip())


@lru_cache(maxsize=1024)
def _normalised(text: str) -> str | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def remote_address(request: HttpRequest) -> str | None:
    """The default CLIENT_IP: REMOTE_ADDR, or what the TRUSTED_PROXIES say they were called
    from in X-Forwarded-For. A header from anywhere else is not believed."""
    trusted = conf.TRUSTED_PROXIES
    address = normalise_ip(_header(request, "REMOTE_ADDR"))
    if not trusted:
        return address
    # Each proxy adds the address that it was called from at the right end.
    hops = [normalise_ip(hop) for hop in _header(request, "HTTP_X_FORWARDED_FOR").split(",")]
    if isinstance(trusted, int):
        return (hops[-trusted] if trusted <= len(hops) else None) or address
    networks = [ip_network(item, strict=False) for item in trusted]
    while address and any(ip_address(address) in network for network in networks):
        if not hops or not (hop := hops.pop()):
            break
        address = hop
    return address


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


def locate(ip_address: str) -> str:
    """The default LOCATION: "New York, US", by the GeoIP2 database at Django's GEOIP_PATH; "" for
    an address that it does not know, and where there is no such setting."""
    place = _place(ip_address)
    return ", ".join(filter(None, (place.get("city"), place.get("country_code"))))


def coordinates(ip_address: str) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, where the database of locate() knows them."""
    place = _place(ip_address)
    latitude, longitude = place.get("latitude"), place.get("longitude")
    return None if latitude is None or longitude is None else (latitude, longitude)


def network(ip_address: str | None) -> str | None:
    """The network that a household or an office has of its own: IPv4 /24, IPv6 /64."""
    if not ip_address:
        return None
    prefix = 64 if ":" in ip_address else 24
    return str(ip_network(f"{ip_address}/{prefix}", strict=False))


def _place(ip_address: str) -> dict[str, Any]:
    path = getattr(settings, "GEOIP_PATH", None)
    if not path:
        return {}
    from geoip2.errors import AddressNotFoundError

    reader = _reader(path, *(getattr(settings, name, None) for name in _GEOIP_FILES))
    try:
        place: dict[str, Any] = reader.city(ip_address) if reader.is_city else reader.country(ip_address)
    except AddressNotFoundError:
        return {}
    return place


@lru_cache(maxsize=1)
def _reader(path: Any, city: str | None, country: str | None) -> Any:
    from django.contrib.gis.geoip2 import GeoIP2

    return GeoIP2(path, city=city, country=country)


def _ask(path: str, argument: Any) -> Any:
    try:
        return import_string(path)(argument)
    except Exception:
        logger.warning("%s failed; going on without its answer", path, exc_info=True)
        return None


def _agent(header: str) -> str:
    return _text(header, USER_AGENT_LENGTH)


def _device(agent: str) -> str:
    return _text(_ask(conf.DEVICE_INFO, agent) if agent else "", 255)


def _header(request: HttpRequest | None, name: str) -> str:
    return "" if request is None else str(request.META.get(name, ""))


def _text(value: Any, length: int) -> str:
    return _UNPRINTABLE.sub("", str(value or ""))[:length]
