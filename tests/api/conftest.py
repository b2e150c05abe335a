from types import SimpleNamespace

import ninja.conf
import pytest
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import connection

from sessions_ext.testing import UserFactory
from tests.api.calls import App


@pytest.fixture
def app(user):
    return App(user)


@pytest.fixture
def sent():
    """What Django's signals of sign-in and sign-out were sent with."""
    signals = {"logins": user_logged_in, "failures": user_login_failed, "logouts": user_logged_out}
    received = {name: [] for name in signals}
    receivers = {}
    for name, signal in signals.items():

        def receive(sender, signal, _received=received[name], **kwargs):
            _received.append(SimpleNamespace(sender=sender, **kwargs))

        receivers[name] = receive
        signal.connect(receive)
    yield SimpleNamespace(**received)
    for name, signal in signals.items():
        signal.disconnect(receivers[name])


@pytest.fixture
def at_login():
    """Have something done by a receiver of user_logged_in."""
    connected = []

    def connect(do):
        def receive(sender, request, user, **kwargs):
            do(request)

        connected.append(receive)
        user_logged_in.connect(receive)

    yield connect
    for receive in connected:
        user_logged_in.disconnect(receive)


@pytest.fixture
def target(db):
    return UserFactory()


@pytest.fixture
def rates(settings, monkeypatch, later):
    """Sets the rates of scopes. The clock stands still, so that no window ends amid a test."""

    def rates(**of_scopes):
        # Before 1.7, ninja reads its settings once.
        monkeypatch.setattr(ninja.conf.settings, "DEFAULT_THROTTLE_RATES", of_scopes)
        settings.NINJA_DEFAULT_THROTTLE_RATES = of_scopes

    return rates


@pytest.fixture
def without_time_zones(settings):
    settings.TIME_ZONE = "Pacific/Marquesas"  # where no clock is ever changed
    settings.USE_TZ = False
    yield
    settings.USE_TZ = True
    settings.TIME_ZONE = "America/Chicago"
    connection.ensure_timezone()
