"""The address of whoever sent a request, and what network that is."""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import islice
from typing import Any

from django.http import HttpRequest

from ..conf import conf

# No address is longer, even with port, brackets and zone.
ADDRESS_LENGTH = 100
# How many hops of X-Forwarded-For are read, from the right.
FORWARDED_HOPS = 20
FORWARDED_LENGTH = FORWARDED_HOPS * ADDRESS_LENGTH


def normalise_ip(value: Any) -> str | None:
    """An address as the database stores it: without port, brackets or zone, and
    IPv4-mapped IPv6 as IPv4 (RFC 4291, 2.5.5.2). None if it is not an address."""
    text = str(value or "").strip()
    return _normalised(text) if len(text) <= ADDRESS_LENGTH else None


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
    """The default CLIENT_IP: REMOTE_ADDR, or the address that the TRUSTED_PROXIES report in
    X-Forwarded-For. A header from anybody else is ignored.

    A list of TRUSTED_PROXIES also trusts a peer without an address: that is a Unix socket, which only a
    process on this machine can reach. If a hop that is needed cannot be read (it is not an address, too
    far left, or too long), the whole header is ignored. None for an unknown address."""
    trusted = conf.TRUSTED_PROXIES
    peer = normalise_ip(header(request, "REMOTE_ADDR"))
    if not trusted:
        return peer
    hops = _hops(header(request, "HTTP_X_FORWARDED_FOR"))
    if isinstance(trusted, int):
        return next(islice(hops, trusted - 1, None), None) or peer
    networks = [ip_network(item, strict=False) for item in trusted]
    address = peer
    for hop in hops:
        if address and not any(ip_address(address) in network for network in networks):
            break
        if hop is None:
            return peer
        address = hop
    return address


def _hops(forwarded: str) -> Iterator[str | None]:
    """The addresses in X-Forwarded-For, nearest first: each proxy appends its caller's address on the
    right. None stands for a hop that is not an address, and for the place where reading stops."""
    hops = forwarded[-FORWARDED_LENGTH:].rsplit(",", FORWARDED_HOPS)
    if len(forwarded) > FORWARDED_LENGTH:
        hops[0] = ""  # cut somewhere in the middle
    return map(normalise_ip, reversed(hops))


@lru_cache(maxsize=1024)
def network(ip_address: str | None) -> str | None:
    """The network around an address, as large as a household or an office has: IPv4 /24, IPv6 /64. None
    for an unknown address. Two unknown addresses are not in one network: do not compare them."""
    if not ip_address:
        return None
    prefix = 64 if ":" in ip_address else 24
    return str(ip_network(f"{ip_address}/{prefix}", strict=False))


def header(request: HttpRequest | None, name: str) -> str:
    return "" if request is None else str(request.META.get(name, ""))
