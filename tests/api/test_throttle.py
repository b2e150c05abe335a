"""Throttling of logins and refreshes."""

import sys
import threading

import pytest
from django.db import connections
from django.test import Client

from sessions_ext.models import UserSession
from tests.api.calls import JSON, problem, refresh, sign_in
from tests.patience import SECONDS
from tests.test_redis import Redis

pytestmark = pytest.mark.django_db


def knock(path="/sessions", **more):
    """A call that is throttled or else told that its body is wrong; no query either way."""
    return problem(Client().post(f"/api{path}", {}, JSON, **more))


def test_without_a_rate_nothing_is_throttled(rates):
    rates()
    assert {knock(path) for path in ("/sessions", "/sessions/refresh") for _ in range(50)} == {
        "422 invalid_request"
    }


def test_too_many_logins_are_told_when_to_come_back(user, rates, later):
    rates(sessions_login="2/min")
    assert sign_in(user.get_username()).status_code == 201
    later(10)
    assert problem(sign_in(user.get_username(), "wrong")) == "401 invalid_credentials"
    later(10)
    answer = sign_in(user.get_username())
    assert problem(answer) == "429 throttled"
    assert answer["Retry-After"] == "40"
    assert UserSession.objects.count() == 1
    later(39)
    assert problem(sign_in(user.get_username())) == "429 throttled"
    later(1)
    assert sign_in(user.get_username()).status_code == 201


def test_refreshes_are_counted_apart_from_logins(rates):
    rates(sessions_login="1/min", sessions_refresh="2/min")
    assert [knock() for _ in range(2)] == ["422 invalid_request", "429 throttled"]
    assert [knock("/sessions/refresh") for _ in range(3)] == ["422 invalid_request"] * 2 + ["429 throttled"]
    rates(sessions_refresh="1/min")
    assert knock() == "422 invalid_request"


def test_addresses_are_counted_apart_and_a_forged_header_is_no_address(rates):
    rates(sessions_login="1/min")
    assert knock(REMOTE_ADDR="192.0.2.1") == "422 invalid_request"
    for forged in ("198.51.100.1", "198.51.100.2, 192.0.2.9", "x", ""):
        for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
            assert knock(REMOTE_ADDR="192.0.2.1", headers={header: forged}) == "429 throttled"
    assert knock(REMOTE_ADDR="192.0.2.1:4711") == "429 throttled"
    assert knock(REMOTE_ADDR="192.0.2.2") == "422 invalid_request"
    assert knock(REMOTE_ADDR="2001:db8::1") == "422 invalid_request"


def test_behind_a_trusted_proxy_the_client_is_counted(rates, settings):
    settings.SESSIONS_EXT = {"TRUSTED_PROXIES": 1}
    rates(sessions_login="1/min")

    def through_proxy(forwarded):
        return knock(REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": forwarded})

    assert through_proxy("192.0.2.1") == "422 invalid_request"
    assert through_proxy("198.51.100.1, 192.0.2.1") == "429 throttled"
    assert through_proxy("192.0.2.2") == "422 invalid_request"


def third_address(request):
    return "192.0.2.3"


def test_the_projects_own_idea_of_an_address_is_what_is_counted(rates, settings):
    settings.SESSIONS_EXT = {"CLIENT_IP": f"{__name__}.third_address"}
    sys.modules.setdefault(__name__, sys.modules[third_address.__module__])
    rates(sessions_login="1/min")
    assert knock(REMOTE_ADDR="192.0.2.1") == "422 invalid_request"
    assert knock(REMOTE_ADDR="192.0.2.2") == "429 throttled"


def test_the_addresses_of_one_network_of_ipv6_are_counted_as_one(rates):
    rates(sessions_login="1/min")
    assert knock(REMOTE_ADDR="2001:db8::1") == "422 invalid_request"
    assert knock(REMOTE_ADDR="2001:db8::2") == "429 throttled"
    assert knock(REMOTE_ADDR="2001:db8:0:1::1") == "422 invalid_request"


def test_callers_without_an_address_lock_nobody_out(rates, caplog):
    """Behind a Unix socket all have none."""
    rates(sessions_login="1/min")
    told = {knock(REMOTE_ADDR=address) for address in ("", "unix:") for _ in range(3)}
    assert told == {"422 invalid_request"}
    assert "sessions_login is not throttled: the caller's address is unknown" in caplog.text


NO_CACHE = {
    "a server that is down": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1",
    },
    "a cache that keeps nothing": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
}


@pytest.mark.parametrize("cache", NO_CACHE.values(), ids=NO_CACHE)
def test_without_a_cache_that_answers_everybody_passes(user, rates, settings, caplog, cache):
    settings.CACHES = {"default": cache}
    rates(sessions_login="1/min", sessions_refresh="1/min")
    answers = [sign_in(user.get_username()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert refresh(answers[0].json()["refresh_token"]).status_code == 200
    assert "sessions_login is not throttled: the cache failed" in caplog.text


@pytest.mark.once
@pytest.mark.parametrize("backend", ["locmem", "redis"])
def test_of_twenty_at_the_same_moment_as_many_pass_as_the_rate_says(rates, settings, backend, request):
    if backend == "redis":
        url = request.getfixturevalue("redis").url
        settings.CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}
        }
    rates(sessions_login="5/min")
    for number in range(5):
        told = together(20, lambda number=number: knock(REMOTE_ADDR=f"192.0.2.{number}"))
        assert sorted(told) == ["422 invalid_request"] * 5 + ["429 throttled"] * 15


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


def together(number, call):
    """What so many threads are answered that call at the same moment."""
    barrier, answers = threading.Barrier(number), []

    def run():
        try:
            barrier.wait(SECONDS)
            answers.append(call())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return answers


@pytest.mark.parametrize("rate", ["0/min", "1/min"])
def test_a_rate_that_was_lowered_still_says_when_to_come_back(rates, rate):
    """As at a deployment: more calls are on record than are allowed now."""
    rates(sessions_login="5/min")
    for _ in range(5):
        knock()
    rates(sessions_login=rate)
    assert knock() == "429 throttled"


def test_threads_do_not_take_each_other_for_another_address(rates):
    """One is shut out, the others are not, all at the same moment on the one throttle there is."""
    rates(sessions_login="40/min")
    for _ in range(40):
        knock(REMOTE_ADDR="192.0.2.1")
    barrier, answers = threading.Barrier(8), {number: [] for number in range(8)}

    def run(number):
        address = "192.0.2.1" if number % 2 else f"198.51.100.{number}"
        try:
            barrier.wait(SECONDS)
            for _ in range(30):
                answers[number].append(knock(REMOTE_ADDR=address))
        finally:
            connections.close_all()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=run, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
    finally:
        sys.setswitchinterval(interval)
    for number, told in answers.items():
        assert told == ["429 throttled" if number % 2 else "422 invalid_request"] * 30
