"""Who is calling: the device."""

from time import perf_counter

import pytest
import ua_parser

from sessions_ext.clients import (
    describe,
    describe_device,
    devices,
)
from tests.clients.logins import log_in_with
from tests.user_agents import USER_AGENTS


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


@pytest.mark.parametrize("table", [devices.APPS, devices.SYSTEMS], ids=["apps", "systems"])
def test_every_line_of_a_table_names_a_real_agent(table):
    unused = dict(table)
    for agent, _ in USER_AGENTS:
        word = next((word for word in table if word in agent), None)
        if word and table[word] in describe_device(agent):
            unused.pop(word, None)
    assert unused == {}


LIBRARIES = (
    *(
        "okhttp",
        "CFNetwork",
        "Alamofire",
        "AFNetworking",
        "Dart",
        "Cronet",
        "ktor-client",
        "Apache-HttpClient",
    ),
    *("Java", "Java-http-client", "axios", "node-fetch", "undici", "node", "python-requests", "python-httpx"),
    *(
        "aiohttp",
        "Python-urllib",
        "Go-http-client",
        "reqwest",
        "hyper",
        "libcurl",
        "curl",
        "Wget",
        "GuzzleHttp",
    ),
)


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("App/7.2 (Android 15; Pixel 9 Pro) {}/4.12.0", "App on Android"),
        ("App/7.2 (iPhone; iOS 18.1; Scale/3.00) {}/1.2", "App on iPhone"),
        ("App/7.2 (Windows NT 10.0; Win64; x64) {}/1.2", "App on Windows"),
        ("App/7.2 {}/4.12.0", "App"),
        ("My App/7.2 (Android 15; Pixel 9 Pro) {}/4.12.0", "My App on Android"),
        ("My Own App/7.2 (com.example.own; build:1; iOS 18.5.0) {}/5.10", "My Own App on iOS"),
        ("App Android/7.2 {}/4.12.0", "App on Android"),
        ("App for Android/7.2 (Android 15) {}/4.12.0", "App on Android"),
        ("App 7.2 (Android 15; Pixel 9 Pro) {}/4.12.0", "App on Android"),
        ("App v7.2 (Android 15; Pixel 9 Pro) {}/4.12.0", "App on Android"),
        ("App (Android 15; Pixel 9 Pro) {}/4.12.0", "App on Android"),
    ],
)
def test_an_apps_own_name_wins_over_its_librarys(agent, device):
    names = {library: describe_device(agent.format(library)) for library in LIBRARIES}
    assert names == dict.fromkeys(LIBRARIES, device)


def test_a_library_without_an_app_is_a_program():
    assert {library: describe_device(f"{library}/1.2") for library in LIBRARIES} == dict(
        zip(LIBRARIES, LIBRARIES, strict=True)
    )


def test_describing_an_agent_costs_little_beside_parsing_it():
    """And next to nothing when it was seen before: 50 microseconds where parsing takes two milliseconds."""
    parser = ua_parser.Parser(ua_parser.BasicResolver(ua_parser.load_builtins()))
    agents = [agent for agent, _ in USER_AGENTS]
    for agent in agents:
        describe(None, user_agent=agent)  # from here on ua-parser remembers them

    def seconds(function):
        start = perf_counter()
        for agent in agents:
            function(agent)
        return perf_counter() - start

    parsing = min(seconds(parser.parse) for _ in range(3))
    assert min(seconds(describe_device.__wrapped__) for _ in range(5)) < parsing / 2
    assert min(seconds(lambda agent: describe(None, user_agent=agent)) for _ in range(20)) < parsing / 40
