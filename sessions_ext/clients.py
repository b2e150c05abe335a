"""Who is calling: address, device and place. Each answer comes from a dotted path
that a project can change, and each fails open: no failure here fails a login."""

import logging
import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
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


def remote_address(request: HttpRequest) -> str:
    """The default CLIENT_IP: REMOTE_ADDR, or behind TRUSTED_PROXIES what they report
    in X-Forwarded-For (needs the `proxies` extra). No header is believed otherwise."""
    if not conf.TRUSTED_PROXIES:
        return _header(request, "REMOTE_ADDR")
    from python_ipware import IpWare

    proxies = conf.TRUSTED_PROXIES
    ipware = (
        IpWare(precedence=("X_FORWARDED_FOR", "HTTP_X_FORWARDED_FOR"), proxy_count=proxies)
        if isinstance(proxies, int)
        else IpWare(precedence=("X_FORWARDED_FOR", "HTTP_X_FORWARDED_FOR"), proxy_list=list(proxies))
    )
    address, trusted = ipware.get_client_ip(request.META, strict=True)
    return str(address) if trusted else _header(request, "REMOTE_ADDR")


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
