"""Who is calling: the address."""

from ipaddress import ip_address

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
    pytest.param(["10.0.0.1"], "", "203.0.113.9", None, id="listed, but on a Unix socket"),
    pytest.param(["10.0.0.1"], "10.0.0.19", "198.51.100.66", "10.0.0.19", id="a neighbour's address"),
]


@pytest.mark.parametrize(("trusted", "peer", "forwarded", "address"), BEHIND_PROXIES)
def test_the_address_behind_trusted_proxies(trusted, peer, forwarded, address):
    assert ip_of(trusted=trusted, peer=peer, forwarded=forwarded) == address


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
