"""Who is calling: address, device and place, and that no odd caller is kept from logging in."""

from ipaddress import ip_address
from time import perf_counter

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from sessions_ext.clients import (
    client_ip,
    coordinates,
    describe,
    describe_device,
    locate,
    network,
    normalise_ip,
)
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.user_agents import USER_AGENTS


def ip_of(*, trusted=(), peer="10.0.0.1", forwarded=None):
    """The address of a request that comes from `peer` with that X-Forwarded-For."""
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    with override_settings(SESSIONS_EXT={"TRUSTED_PROXIES": trusted}):
        return client_ip(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers))


def log_in_with(**extra):
    """The row that a login through a view leaves."""
    user = UserFactory()
    client = Client()
    response = client.post("/login/", {"username": user.get_username(), "password": "password"}, **extra)
    assert response.content.decode() == user.get_username()
    assert client.get("/who/").content.decode() == user.get_username()
    return UserSession.objects.for_user(user).get()


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


def the_ip(request):
    return "[2001:db8::7]:443"


def the_device(user_agent):
    return f"a {len(user_agent)}\x00 " + "x" * 300


def the_place(address):
    return f"near {address}"


def failing(argument):
    raise OSError("the disk is gone")


@pytest.mark.django_db
def test_the_projects_own_functions_answer():
    own = {"CLIENT_IP": "the_ip", "DEVICE_INFO": "the_device", "LOCATION": "the_place"}
    with override_settings(SESSIONS_EXT={name: f"{__name__}.{path}" for name, path in own.items()}):
        session = log_in_with(headers={"user-agent": "agent"})
    assert session.ip_address == "2001:db8::7"
    assert session.location == "near 2001:db8::7"
    assert session.device_info == ("a 5 " + "x" * 300)[:255]


@pytest.mark.parametrize(
    ("setting", "column", "value"),
    [("CLIENT_IP", "ip_address", None), ("DEVICE_INFO", "device_info", ""), ("LOCATION", "location", "")],
)
@pytest.mark.parametrize("path", [f"{__name__}.failing", "no.such.function", "builtins.Ellipsis"])
@pytest.mark.django_db
def test_a_function_that_fails_is_logged_once_and_fails_no_login(caplog, setting, column, value, path):
    with override_settings(SESSIONS_EXT={"TOUCH_INTERVAL": 60, setting: path}):
        user = UserFactory()
        session = UserSession.objects.start(
            user, request=RequestFactory().get("/", headers={"user-agent": "agent"})
        )
    session.refresh_from_db()
    assert getattr(session, column) == value
    (record,) = [record for record in caplog.records if record.name == "sessions_ext"]
    assert (record.levelname, record.exc_info is not None) == ("WARNING", True)
    assert path in record.getMessage()


@pytest.mark.parametrize(("answer", "device"), [(None, ""), ("", ""), (7, "7")])
@pytest.mark.django_db
def test_odd_answers_are_taken_as_text_or_as_nothing(monkeypatch, answer, device):
    monkeypatch.setitem(globals(), "the_answer", lambda argument: answer)
    paths = dict.fromkeys(("CLIENT_IP", "DEVICE_INFO", "LOCATION"), f"{__name__}.the_answer")
    with override_settings(SESSIONS_EXT=paths):
        session = log_in_with(headers={"user-agent": "agent"})
    assert (session.ip_address, session.device_info, session.location) == (None, device, "")


@pytest.mark.django_db
def test_what_is_given_wins_over_the_request():
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.9", headers={"user-agent": "curl/8.7.1"})
    assert describe(request).ip_address == "203.0.113.9"
    assert describe(request).user_agent == "curl/8.7.1"
    assert describe(request, "198.51.100.7", "okhttp/4.12.0").ip_address == "198.51.100.7"
    assert describe(request, "198.51.100.7", "okhttp/4.12.0").device_info == "okhttp"
    assert describe(request, "unknown").ip_address == "203.0.113.9"


@pytest.mark.django_db
def test_a_login_without_a_request_has_no_client():
    session = UserSession.objects.start(UserFactory())
    session.refresh_from_db()
    assert (session.ip_address, session.user_agent, session.device_info, session.location) == (
        None,
        "",
        "",
        "",
    )


@pytest.mark.parametrize(
    "junk", ["\x00\x1b[31m\r\n\t\x7f\x85", "\ud800\udfff"], ids=["control characters", "halves of pairs"]
)
@pytest.mark.django_db
def test_a_user_agent_is_cleaned_and_cut_and_the_login_works(junk):
    agent = (junk + "Mozilla/5.0 ") * (100_000 // (len(junk) + 12))
    session = log_in_with(HTTP_USER_AGENT=agent)
    clean = agent.translate(dict.fromkeys([*range(32), *range(127, 160), *range(0xD800, 0xE000)]))
    assert session.user_agent == clean[:1024]
    assert len(session.user_agent) == 1024


@pytest.mark.parametrize(("user_agent", "device"), USER_AGENTS)
def test_a_user_agent_names_the_device(user_agent, device):
    assert describe_device(user_agent) == device
    assert describe(None, user_agent=user_agent).device_info == device


def test_a_user_agent_seen_before_costs_less_than_50_microseconds():
    def seconds(user_agent):
        start = perf_counter()
        describe(None, user_agent=user_agent)
        return perf_counter() - start

    agents = [agent for agent, _ in USER_AGENTS]
    for agent in agents:
        seconds(agent)
    assert min(sum(map(seconds, agents)) for _ in range(20)) / len(agents) < 50e-6


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


@pytest.fixture
def geoip(tmp_path, settings):
    """Writes a GeoIP2 database of that edition, and has Django use it."""

    def write(edition="GeoLite2-City"):
        place = {
            "city": {"names": {"en": "New York"}},
            "country": {"iso_code": "US", "names": {"en": "United States"}},
            "location": {"latitude": 40.71, "longitude": -74.0},
        }
        networks = MMDBWriter(6, edition, languages=["en"], ipv4_compatible=True)
        networks.insert_network(IPSet(["203.0.113.0/24", "2001:db8:7::/48"]), place)
        networks.insert_network(IPSet(["198.51.100.0/24"]), {"country": place["country"]})
        networks.insert_network(IPSet(["192.0.2.0/24"]), {"registered_country": place["country"]})
        path = tmp_path / f"{edition}.mmdb"
        networks.to_db_file(str(path))
        settings.GEOIP_PATH = str(tmp_path)
        return path

    return write


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.9", "New York, US"),
        ("2001:db8:7::9", "New York, US"),
        ("198.51.100.9", "US"),
        ("192.0.2.9", ""),
        ("127.0.0.1", ""),
        ("10.0.0.1", ""),
        ("::1", ""),
    ],
)
@pytest.mark.django_db
def test_a_login_is_located(geoip, caplog, address, place):
    geoip()
    assert log_in_with(REMOTE_ADDR=address).location == place
    assert coordinates(address) == ((40.71, -74.0) if "New York" in place else None)
    assert not caplog.records


def test_a_database_of_countries_will_do(geoip):
    geoip("GeoLite2-Country")
    assert locate("203.0.113.9") == "US"
    assert coordinates("203.0.113.9") is None


@pytest.mark.parametrize("path", [None, ""])
@pytest.mark.django_db
def test_without_a_database_nobody_is_located_and_nothing_is_said(settings, caplog, path):
    settings.GEOIP_PATH = path
    assert log_in_with(REMOTE_ADDR="203.0.113.9").location == ""
    assert not caplog.records


def corrupt(path):
    path.write_bytes(b"not a database")


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def empty(path):
    path.write_bytes(b"")


def drop(path):
    path.unlink()


@pytest.mark.parametrize("harm", [corrupt, cut, empty, drop])
@pytest.mark.django_db
def test_a_missing_or_corrupt_database_costs_a_warning_and_no_login(geoip, caplog, harm):
    path = geoip()
    harm(path)
    session = log_in_with(REMOTE_ADDR="203.0.113.9")
    assert (session.ip_address, session.location) == ("203.0.113.9", "")
    (record,) = [record for record in caplog.records if record.name == "sessions_ext"]
    assert (record.levelname, "clients.locate" in record.getMessage()) == ("WARNING", True)
    caplog.clear()
    geoip()
    assert log_in_with(REMOTE_ADDR="203.0.113.9").location == "New York, US"
    assert not caplog.records
