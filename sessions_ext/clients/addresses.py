"""The address of whoever sent a request, and what network that is."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.http import HttpRequest

from ..conf import conf


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
    address = normalise_ip(header(request, "REMOTE_ADDR"))
    if not trusted:
        return address
    # Each proxy adds the address that it was called from at the right end.
    hops = [normalise_ip(hop) for hop in header(request, "HTTP_X_FORWARDED_FOR").split(",")]
    if isinstance(trusted, int):
        return (hops[-trusted] if trusted <= len(hops) else None) or address
    networks = [ip_network(item, strict=False) for item in trusted]
    while address and any(ip_address(address) in network for network in networks):
        if not hops or not (hop := hops.pop()):
            break
        address = hop
    return address


def network(ip_address: str | None) -> str | None:
    """The network that a household or an office has of its own: IPv4 /24, IPv6 /64."""
    if not ip_address:
        return None
    prefix = 64 if ":" in ip_address else 24
    return str(ip_network(f"{ip_address}/{prefix}", strict=False))


def header(request: HttpRequest | None, name: str) -> str:
    return "" if request is None else str(request.META.get(name, ""))
