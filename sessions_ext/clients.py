"""Who is calling: address, device and place. Each answer comes from a dotted path
that a project can change, and each fails open: no failure here fails a login."""

import logging
import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import ua_parser
from django.http import HttpRequest
from django.utils.module_loading import import_string

from .conf import conf

logger = logging.getLogger("sessions_ext")

USER_AGENT_LENGTH = 1024
# Control characters, and halves of surrogate pairs, which no database stores.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Client:
    ip_address: str | None
    user_agent: str
    device_info: str
    location: str


def describe(request: HttpRequest | None, ip_address: str | None = None, user_agent: str = "") -> Client:
    """What is known of a caller; an address or user agent given outright wins over the request's."""
    address = normalise_ip(ip_address) or client_ip(request)
    agent = _text(user_agent or _header(request, "HTTP_USER_AGENT"), USER_AGENT_LENGTH)
    return Client(
        ip_address=address,
        user_agent=agent,
        device_info=_text(_ask(conf.DEVICE_INFO, agent) if agent else "", 255),
        location=_text(_ask(conf.LOCATION, address) if conf.LOCATION and address else "", 255),
    )


def client_ip(request: HttpRequest | None) -> str | None:
    """The caller's address by CLIENT_IP, normalised; None where there is none."""
    return None if request is None else normalise_ip(_ask(conf.CLIENT_IP, request))


def normalise_ip(value: Any) -> str | None:
    """An address as the database stores it: without port, brackets or zone, and
    IPv4-mapped IPv6 as IPv4 (RFC 4291, 2.5.5.2). None if it is not an address."""
    text = str(value or "").strip()
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
    # Each proxy adds the address that it was called from at the right end.
    hops = [normalise_ip(hop) for hop in _header(request, "HTTP_X_FORWARDED_FOR").split(",")]
    if isinstance(trusted, int):
        return (hops[-trusted] if 0 < trusted <= len(hops) else None) or address
    networks = [ip_network(item, strict=False) for item in trusted]
    while address and any(ip_address(address) in network for network in networks):
        if not hops or not (hop := hops.pop()):
            break
        address = hop
    return address


def describe_device(user_agent: str) -> str:
    """The default DEVICE_INFO: "Chrome on macOS"; "" for a user agent nobody knows."""
    parsed = ua_parser.parse(user_agent)
    words = parsed.user_agent.family.split() if parsed.user_agent else []
    browser = " ".join(word for word in words if word not in ("Mobile", "iOS"))
    system = parsed.os.family if parsed.os else ""
    if parsed.device and parsed.device.family in ("iPhone", "iPad"):
        system = parsed.device.family
    return " on ".join(filter(None, (browser, {"Mac OS X": "macOS"}.get(system, system))))


def _ask(path: str, argument: Any) -> Any:
    try:
        return import_string(path)(argument)
    except Exception:
        logger.warning("%s failed; going on without its answer", path, exc_info=True)
        return None


def _header(request: HttpRequest | None, name: str) -> str:
    return "" if request is None else str(request.META.get(name, ""))


def _text(value: Any, length: int) -> str:
    return _UNPRINTABLE.sub("", str(value or ""))[:length]
