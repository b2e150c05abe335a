import pytest
import time_machine
from django.contrib.auth.signals import user_logged_in

from tests.tokens.logins import sign_in


@pytest.fixture
def pair(user):
    return sign_in(user)


@pytest.fixture
def at_login():
    """Have something done by a receiver of user_logged_in, of any user or of users of one class."""
    connected = []

    def connect(do, sender=None):
        def receive(sender, **kwargs):
            do(**kwargs)

        user_logged_in.connect(receive, sender=sender)
        connected.append((receive, sender))

    yield connect
    for receive, sender in connected:
        user_logged_in.disconnect(receive, sender=sender)


@pytest.fixture
def at():
    """Stop the clock at a time."""
    travellers = []

    def stop(moment):
        travellers.append(time_machine.travel(moment, tick=False))
        travellers[-1].start()

    yield stop
    for traveller in reversed(travellers):
        traveller.stop()
