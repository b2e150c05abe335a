"""Who is calling: no name of a device is what a mail client makes a link of."""

import re
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions_ext.clients import describe_device

HOST = "secure-login.example.net"
NAMES = [
    *("example.com", HOST, f"www.{HOST}", "com.example.app", "192.0.2.1", "x192.0.2.1", "xn--80ak6aa92e.com"),
    *(f"https://{HOST}", f"http:{HOST}", f"//{HOST}", f"ftp://{HOST}", f"mailto:me@{HOST}", f"me@{HOST}"),
    *(f"https%3A%2F%2F{HOST}%2F", "evil%2Ecom", "evil%E3%80%82com", "evil%EF%BC%8Ecom", "evil%EF%BD%A1com"),
    *(
        "evil%0A.com",
        "evil%1C.com",
        "evil%E2%80%8B.com",
        "evil.%E2%80%AEcom",
        "e..com",
        "evil.com.",
        ".evil.com",
    ),
    *(
        "evil\u3002com",
        "evil\uff0ecom",
        "evil\uff61com",
        "evil\u2024com",
        "bücher.example",
        "localhost:8000",
        "[2001:db8::1]",
    ),
    *(
        "Call-1-800-555-0199",
        "T1.800.555.0199",
        "tel:+18005550199",
        "Node.js",
        "Paint.NET",
        "archive.org_bot",
    ),
]
PATTERNS = (
    *("{}/1.0", "{}", "{}/1.0 (x)", "{}/1.0 (Android 15; Pixel 9)", "{}/1.0 (iPhone; iOS 18.1; Scale/3.00)"),
    *("{}/1 CFNetwork/1494 Darwin/23.4.0", "Mozilla/5.0 (compatible; {}/1.0; +x)", "{} bot/1.0", "{}Bot/1.0"),
    "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) {}/1 Chrome/128.0 Electron/32.2",
    "Mozilla/5.0 (Linux; Android 9; {}; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/88.0 "
    "Mobile Safari/537.36 {}/1.0",
    "Mozilla/5.0 (Linux; U; {}/1.0) {}/2.0 PowerShell/7",
)
LINK = re.compile(r"[^\s.]\.[^\s.]|[:/@\u3002]|\d(?:\D?\d){6}")


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_client_makes_a_link_of_no_device(name):
    devices = [describe_device(pattern.replace("{}", name)) for pattern in PATTERNS]
    assert [device for device in devices if LINK.search(device) or not device.isprintable()] == []


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=60), st.sampled_from(PATTERNS))
def test_nor_does_it_of_what_anybody_makes_up(name, pattern):
    assert not LINK.search(describe_device(pattern.replace("{}", name)))


@pytest.mark.parametrize("agent", ["(" * 1024, "a." * 512, "a/" * 512, "a+" * 512, "%41" * 341, "1" * 1024])
def test_no_agent_is_slow_to_describe(agent):
    def seconds(agent):
        start = perf_counter()
        for pattern in PATTERNS:
            describe_device.__wrapped__(pattern.replace("{}", agent)[:1024])
        return perf_counter() - start

    assert min(seconds(agent) for _ in range(3)) / len(PATTERNS) < 0.05
