"""Who is calling, as the project's own functions and its callers say."""

import pytest
from django.test import RequestFactory, override_settings

from sessions_ext.clients import (
    describe,
)
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.clients.logins import log_in_with


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
