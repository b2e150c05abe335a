"""Who is calling: the device."""

from time import perf_counter

import pytest

from sessions_ext.clients import (
    describe,
    describe_device,
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


def test_a_user_agent_seen_before_costs_less_than_50_microseconds():
    def seconds(user_agent):
        start = perf_counter()
        describe(None, user_agent=user_agent)
        return perf_counter() - start

    agents = [agent for agent, _ in USER_AGENTS]
    for agent in agents:
        seconds(agent)
    assert min(sum(map(seconds, agents)) for _ in range(20)) / len(agents) < 50e-6
