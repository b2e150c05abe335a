"""Who is calling: address, device and place, and that no odd caller is kept from logging in."""

from ipaddress import ip_address
from time import perf_counter

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings

from sessions_ext.clients import client_ip, describe, describe_device, normalise_ip
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
CHROME = "537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"


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


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (MAC + CHROME, "Chrome on macOS"),
        (MAC + "605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15", "Safari on macOS"),
        (WINDOWS + ") AppleWebKit/" + CHROME, "Chrome on Windows"),
        (WINDOWS + ") AppleWebKit/" + CHROME + " Edg/126.0.0.0", "Edge on Windows"),
        (WINDOWS + ") AppleWebKit/" + CHROME + " OPR/111.0.0.0", "Opera on Windows"),
        (WINDOWS + "; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/" + CHROME, "Chrome on Chrome OS"),
        (IPHONE + "Version/17.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        (IPHONE.replace("iPhone;", "iPad;") + "Version/17.5 Mobile/15E148 Safari/604.1", "Safari on iPad"),
        (IPHONE + "FxiOS/127.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPhone"),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/" + CHROME.replace("Safari", "Mobile Safari"),
            "Chrome on Android",
        ),
        (IPHONE + "CriOS/126.0.6478.35 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        ("curl/8.7.1", "curl"),
        ("something nobody knows", ""),
        ("-", ""),
    ],
)
def test_a_user_agent_names_the_device(user_agent, device):
    assert describe_device(user_agent) == device
    assert describe(None, user_agent=user_agent).device_info == device


def test_a_user_agent_seen_before_costs_little():
    def seconds(user_agent):
        start = perf_counter()
        describe(None, user_agent=user_agent)
        return perf_counter() - start

    seconds("warm up")
    agents = [f"{MAC}{CHROME} Some/{number}" for number in range(20)]
    fresh, seen = min(map(seconds, agents)), min(map(seconds, agents))
    assert seen * 5 < fresh
