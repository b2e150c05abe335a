"""Who is calling: the address."""

from ipaddress import ip_address
from time import perf_counter

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from sessions_ext.clients import (
    client_ip,
    describe,
    network,
    normalise_ip,
)
from tests.clients.logins import log_in_with


def ip_of(*, trusted=(), peer="10.0.0.1", forwarded=None):
    """The address of a request that comes from `peer` with that X-Forwarded-For."""
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    with override_settings(SESSIONS_EXT={"TRUSTED_PROXIES": trusted}):
        return client_ip(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers))


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("2001:DB8::0001", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:443", "fe80::1"),
        ("::1", "::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:443", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        (ip_address("192.0.2.1"), "192.0.2.1"),
        (ip_address("2001:db8::1"), "2001:db8::1"),
    ],
)
def test_an_address_is_stored_without_port_brackets_and_zone(value, address):
    assert normalise_ip(value) == address


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", " ", 0, 1, True, b"192.0.2.1", [], object()),
        *("unknown", "_hidden", "unix:", "unix:/run/gunicorn.sock", "localhost", "localhost:80", "-"),
        *("192.0.2", "192.0.2.256", "192.0.02.1", "0x7f.0.0.1", "192.0.2.1/24", "192.0.2.1, 192.0.2.2"),
        *(":80", "[]", "[]:443", "[unknown]:443", "%eth0", ":::", "2001:db8::g", "192.0.2.1\x00"),
        *("\uff11.2.3.4", "1:" * 5000, "9" * 5000, "'; DROP TABLE users; --"),
    ],
)
def test_what_is_no_address_is_none(value):
    assert normalise_ip(value) is None


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.9:52814", "203.0.113.9"),
        ("", None),
        ("unix:", None),
        ("unknown", None),
    ],
)
@pytest.mark.django_db
def test_a_login_comes_from_remote_addr_and_works_without_one(peer, address):
    session = log_in_with(REMOTE_ADDR=peer)
    assert session.ip_address == session.last_ip_address == address


@pytest.mark.parametrize("request_", [None, HttpRequest()], ids=["no request", "no REMOTE_ADDR"])
def test_a_caller_may_come_from_nowhere(request_):
    assert client_ip(request_) is None
    assert describe(request_).ip_address is None


@pytest.mark.parametrize(
    "name", ["x-forwarded-for", "forwarded", "x-real-ip", "client-ip", "true-client-ip", "cf-connecting-ip"]
)
def test_no_header_is_believed_by_default(name):
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.9", headers={name: "198.51.100.66"})
    assert client_ip(request) == "203.0.113.9"


# What the last proxies wrote stands at the right end of X-Forwarded-For; the peer is the last proxy itself.
BEHIND_PROXIES = [
    pytest.param(1, "10.0.0.1", "203.0.113.9", "203.0.113.9", id="one proxy"),
    pytest.param(1, "10.0.0.1", "198.51.100.66, 203.0.113.9", "203.0.113.9", id="one proxy, forged"),
    pytest.param(1, "10.0.0.1", "garbage, 203.0.113.9", "203.0.113.9", id="one proxy, garbage before"),
    pytest.param(1, "10.0.0.1", "203.0.113.9:52814", "203.0.113.9", id="one proxy that adds the port"),
    pytest.param(1, "10.0.0.1", "[2001:db8::9]:443", "2001:db8::9", id="one proxy, IPv6 with a port"),
    pytest.param(1, "10.0.0.1", "2001:db8::9", "2001:db8::9", id="one proxy, IPv6"),
    pytest.param(1, "", "203.0.113.9", "203.0.113.9", id="one proxy on a Unix socket"),
    pytest.param(2, "10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9", id="two proxies"),
    pytest.param(2, "10.0.0.1", "198.51.100.66, 203.0.113.9, 10.0.0.2", "203.0.113.9", id="two, forged"),
    pytest.param(1, "10.0.0.1", None, "10.0.0.1", id="no header"),
    pytest.param(1, "10.0.0.1", "", "10.0.0.1", id="empty header"),
    pytest.param(1, "10.0.0.1", "unknown", "10.0.0.1", id="no address in the header"),
    pytest.param(2, "10.0.0.1", "198.51.100.66", "10.0.0.1", id="fewer than there are proxies"),
    pytest.param(["10.0.0.1"], "10.0.0.1", "203.0.113.9", "203.0.113.9", id="listed"),
    pytest.param(["10.0.0.1"], "10.0.0.1", "198.51.100.66, 203.0.113.9", "203.0.113.9", id="listed, forged"),
    pytest.param(["10.0.0.0/8"], "10.0.0.1", "203.0.113.9", "203.0.113.9", id="network"),
    pytest.param(["10.0.0.0/8"], "10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9", id="network, two"),
    pytest.param(
        ["10.0.0.1", "10.0.0.2"], "10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9", id="two listed"
    ),
    pytest.param(["2001:db8::/32"], "2001:db8::1", "203.0.113.9", "203.0.113.9", id="IPv6 network"),
    pytest.param(["10.0.0.1"], "203.0.113.66", "198.51.100.66", "203.0.113.66", id="not through it"),
    pytest.param(["10.0.0.1"], "203.0.113.6", "198.51.100.66, 10.0.0.1", "203.0.113.6", id="not, forged"),
    pytest.param(["10.0.0.1"], "10.0.0.1", "203.0.113.9, unknown", "10.0.0.1", id="listed, no address"),
    pytest.param(["10.0.0.0/8"], "10.0.0.1", "10.0.0.2", "10.0.0.2", id="nothing but proxies"),
    pytest.param(["10.0.0.1"], "", "203.0.113.9", "203.0.113.9", id="listed, on a Unix socket"),
    pytest.param(["10.0.0.1"], "", "198.51.100.66, 203.0.113.9", "203.0.113.9", id="on a socket, forged"),
    pytest.param(["10.0.0.1"], "", "203.0.113.9, 10.0.0.1", "203.0.113.9", id="on a socket, two"),
    pytest.param(["10.0.0.1"], "", "unknown", None, id="on a socket, no address"),
    pytest.param(["10.0.0.1"], "", None, None, id="on a socket, no header"),
    pytest.param([], "", "203.0.113.9", None, id="on a socket, nobody listed"),
    pytest.param(2, "", "203.0.113.9", None, id="on a socket, fewer than there are proxies"),
    pytest.param(["10.0.0.0/8"], "10.0.0.1", "203.0.113.9, unknown, 10.0.0.2", "10.0.0.1", id="a gap"),
    pytest.param(["10.0.0.1"], "10.0.0.19", "198.51.100.66", "10.0.0.19", id="a neighbour's address"),
]


@pytest.mark.parametrize(("trusted", "peer", "forwarded", "address"), BEHIND_PROXIES)
def test_the_address_behind_trusted_proxies(trusted, peer, forwarded, address):
    assert ip_of(trusted=trusted, peer=peer, forwarded=forwarded) == address


LONG = "[" + "1" * 99 + "]"  # 101 characters
PROXIES = ", ".join(f"10.0.{number // 250}.{number % 250}" for number in range(7000))  # 64 kB and more


@pytest.mark.parametrize("trusted", [1, 2, ["10.0.0.0/8"]], ids=["one", "two", "listed"])
@pytest.mark.parametrize(
    ("forwarded", "is_read"),
    [
        pytest.param(f"{PROXIES}, 203.0.113.9, 10.0.0.2", True, id="long, and what counts is short"),
        pytest.param(f"{'x' * 65_000}, 203.0.113.9, 10.0.0.2", True, id="a long hop that does not count"),
        pytest.param(f"{LONG}, 10.0.0.2", False, id="a long hop that counts"),
        pytest.param("x" * 65_000 + "9", False, id="one hop of 65 kB"),
        pytest.param("," * 65_000, False, id="65,000 empty hops"),
    ],
)
def test_no_more_of_a_long_header_is_read_than_counts(trusted, forwarded, is_read):
    expected = ("10.0.0.2" if trusted == 1 else "203.0.113.9") if is_read else "10.0.0.1"
    if trusted == 1 and forwarded.startswith("["):
        expected = "10.0.0.2"  # the long one is not needed
    assert ip_of(trusted=trusted, forwarded=forwarded) == expected


@pytest.mark.parametrize("trusted", [["10.0.0.0/8"], 20], ids=["listed", "20"])
def test_20_proxies_are_read_through(trusted):
    nineteen = ", ".join(PROXIES.split(", ")[:19])
    assert ip_of(trusted=trusted, forwarded=f"203.0.113.9, {nineteen}") == "203.0.113.9"
    assert ip_of(trusted=trusted, forwarded=f"198.51.100.66, 203.0.113.9, {nineteen}") == "203.0.113.9"


@pytest.mark.parametrize("trusted", [["10.0.0.0/8"], 500], ids=["listed", "500"])
def test_so_many_proxies_that_the_reading_stops_count_as_no_header(trusted):
    assert ip_of(trusted=trusted, peer="10.9.9.9", forwarded=f"203.0.113.9, {PROXIES}") == "10.9.9.9"


@pytest.mark.parametrize("trusted", [1, 3, 100, ["10.0.0.0/8"]])
@pytest.mark.parametrize("forwarded", [PROXIES, "1" * 65_000, "," * 65_000, ", ".join(["unknown"] * 7000)])
def test_a_header_of_64_kb_costs_less_than_a_millisecond(trusted, forwarded):
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers={"x-forwarded-for": forwarded})

    def seconds():
        start = perf_counter()
        client_ip(request)
        return perf_counter() - start

    with override_settings(SESSIONS_EXT={"TRUSTED_PROXIES": trusted}):
        assert min(seconds() for _ in range(20)) < 1e-3


def test_what_is_too_long_to_be_an_address_is_none():
    assert normalise_ip("fe80::1%" + "e" * 92) == "fe80::1"
    assert normalise_ip("fe80::1%" + "e" * 93) is None


@pytest.mark.parametrize(
    ("address", "wide"),
    [
        (None, None),
        ("", None),
        ("192.0.2.77", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("::1", "::/64"),
    ],
)
def test_the_network_of_an_address(address, wide):
    assert network(address) == wide
