"""A PostgreSQL that is restarted under load."""

import time

import pytest

from tests.scaling.conftest import PROCESSES, THREADS, running_site
from tests.scaling.people import Crowd

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_nobody_is_revived_and_nobody_lost(postgresql, names, tmp_path, mode):
    with running_site(tmp_path, postgresql.url) as address:
        crowd = Crowd(address, names(8))
        with crowd.at_work():
            crowd.come_round()
            assert crowd.failures == []
            for _ in range(3):
                postgresql.restart(mode)
                over = time.monotonic()
                crowd.come_round()
            crowd.come_round()
        crowd.settle(postgresql)
    late = [what for began, what in crowd.failures if began > over]
    print(f"{mode}: {crowd.told()}; {len(late)} failures after the restart")
    # Each connection that the restart has cut fails once, and is opened anew.
    assert len(late) <= PROCESSES * THREADS
