"""What is suspicious about a session, and what follows."""

import sys
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client, RequestFactory
from django.utils import timezone

from sessions_ext import activity, tokens
from sessions_ext.models import UserSession
from sessions_ext.observers import kilometres
from sessions_ext.signals import session_flagged
from sessions_ext.testing import UserSessionFactory, log_in

pytestmark = pytest.mark.django_db

ALL = [
    f"sessions_ext.observers.{name}"
    for name in ("network_changed", "device_changed", "impossible_travel", "refresh_replayed")
]
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
NEWER = LINUX.replace("145.0", "146.0")
HOME, NEXT_DOOR, AWAY = "203.0.113.7", "203.0.113.99", "198.51.100.7"
NEW_YORK, NEWARK, LONDON, SYDNEY = (40.71, -74.01), (40.74, -74.17), (51.51, -0.13), (-33.87, 151.21)


@pytest.fixture
def seen(user, settings, later, receiver_of, django_capture_on_commit_callbacks):
    """Log in at HOME with LINUX; then each call is a request some time later, and returns the
    kinds of what was flagged for it."""
    settings.SESSIONS_EXT = {"OBSERVERS": ALL}
    client, flagged = Client(), receiver_of(session_flagged)
    device = {"device_info": "Firefox on Linux", "user_agent": LINUX}
    session = log_in(client, user, ip_address=HOME, last_ip_address=HOME, **device)

    def request(address=HOME, agent=LINUX, seconds=3600):
        later(seconds)
        before = len(flagged)
        with django_capture_on_commit_callbacks(execute=True):
            client.get("/who/", REMOTE_ADDR=address, headers={"user-agent": agent})
        request.details = [each["details"] for each in flagged[before:]]
        return [each["kind"] for each in flagged[before:]]

    request.session, request.client = session, client
    return request


@pytest.fixture
def places(monkeypatch):
    known = {HOME: NEW_YORK, NEXT_DOOR: NEWARK, AWAY: LONDON, "192.0.2.9": SYDNEY}
    monkeypatch.setattr("sessions_ext.clients.coordinates", known.get)


@pytest.mark.parametrize("address", [HOME, NEXT_DOOR, "", "unix:"])
def test_the_same_network_is_not_suspicious(seen, address):
    assert seen(address=address) == []
    assert seen(address=HOME, agent=NEWER) == []


def test_another_network_is_counted_once(seen):
    assert seen(address=AWAY) == ["network_changed"]
    assert seen.details == [{"previous": HOME, "ip_address": AWAY}]
    assert seen(address=AWAY) == []
    assert seen(address=HOME) == ["network_changed"]
    seen.session.refresh_from_db()
    assert seen.session.suspicious_activity_count == 2
    assert seen.session.is_active


@pytest.mark.parametrize("agent", ["curl/8.14.1", "", "something unknown"])
def test_another_device_is_suspicious(seen, agent):
    assert seen(agent=agent) == ["device_changed"]
    assert seen.details[0]["previous"] == "Firefox on Linux"


def test_a_device_that_was_never_known_cannot_change(seen):
    UserSession.objects.update(device_info="", user_agent="")
    assert seen(agent="curl/8.14.1") == []


def test_a_device_does_not_change_because_its_name_does(seen, settings):
    """Its row was written when a rule, or the data of ua-parser, called the browser another name."""
    settings.SESSIONS_EXT = {"OBSERVERS": ALL, "SUSPICION_THRESHOLD": 1}
    UserSession.objects.update(device_info="Gecko on GNU")
    assert seen() == []
    assert seen.client.get("/who/").content != b"nobody"
    assert seen(agent="curl/8.14.1") == ["device_changed"]
    assert seen.details == [{"previous": "Firefox on Linux", "device_info": "curl"}]
    assert seen.client.get("/who/").content == b"nobody"


def test_a_devices_name_is_the_projects(seen, settings):
    """Both sides are named by DEVICE_INFO."""
    settings.SESSIONS_EXT = {"OBSERVERS": ALL, "DEVICE_INFO": "builtins.len"}
    assert seen() == []
    assert seen(agent=LINUX[:-1]) == ["device_changed"]


@pytest.mark.parametrize(
    ("address", "hours", "kinds"),
    [
        (AWAY, 5, ["network_changed", "impossible_travel"]),  # 5,570 km
        (AWAY, 6, ["network_changed"]),
        ("192.0.2.9", 12, ["network_changed", "impossible_travel"]),  # 15,990 km
        ("192.0.2.9", 17, ["network_changed"]),
        (NEXT_DOOR, 0.02, []),  # 14 km, within which a database errs
        ("192.0.2.200", 0.02, ["network_changed"]),  # nowhere
    ],
)
def test_faster_than_a_plane_is_suspicious(seen, places, address, hours, kinds):
    assert seen(address=address, seconds=hours * 3600) == kinds


def test_without_a_database_nobody_travels(seen):
    assert seen(address=AWAY, seconds=120) == ["network_changed"]


@pytest.mark.parametrize(
    ("start", "end", "distance"),
    [
        (NEW_YORK, LONDON, 5570),
        (NEW_YORK, NEW_YORK, 0),
        (LONDON, SYDNEY, 16990),
        ((0, 179.5), (0, -179.5), 111),
        ((90, 0), (-90, 0), 20015),
    ],
)
def test_distances_are_those_of_a_globe(start, end, distance):
    assert kilometres(start, end) == pytest.approx(distance, rel=0.005, abs=0.1)
    assert kilometres(end, start) == pytest.approx(kilometres(start, end))


def test_at_the_threshold_the_session_ends(seen, settings):
    settings.SESSIONS_EXT = {"OBSERVERS": ALL, "SUSPICION_THRESHOLD": 2}
    seen(address=AWAY)
    assert seen.client.get("/who/").content != b"nobody"
    seen(address=HOME)
    assert seen.client.get("/who/").content == b"nobody"
    seen.session.refresh_from_db()
    assert seen.session.revoked_reason == "suspicious"


def test_by_default_somebody_on_a_train_stays_signed_in(seen, settings, places):
    settings.SESSIONS_EXT = {"SUSPICION_THRESHOLD": 1}
    assert seen(address=AWAY, agent="curl/8.14.1", seconds=61) == []
    assert seen.client.get("/who/").content != b"nobody"


def test_a_replayed_refresh_token_is_flagged_by_default(
    user, settings, later, receiver_of, django_capture_on_commit_callbacks
):
    flagged = receiver_of(session_flagged)
    pair = tokens.login(RequestFactory().post("/"), user, "django.contrib.auth.backends.ModelBackend")
    tokens.refresh(pair.refresh_token)
    later(60)
    thief = RequestFactory().post("/", REMOTE_ADDR=AWAY)
    with django_capture_on_commit_callbacks(execute=True):
        assert tokens.refresh(pair.refresh_token, thief) is None
    assert [(each["kind"], each["count"], each["details"]) for each in flagged] == [
        ("refresh_replayed", 1, {"ip_address": AWAY})
    ]
    session = UserSession.objects.get()
    assert (session.revoked_reason, session.suspicious_activity_count) == ("refresh_reuse", 1)


def test_nothing_is_flagged_where_nobody_observes(user, settings, later):
    settings.SESSIONS_EXT = {"OBSERVERS": [], "REFRESH_GRACE": 0}
    pair = tokens.login(RequestFactory().post("/"), user, "django.contrib.auth.backends.ModelBackend")
    tokens.refresh(pair.refresh_token)
    assert tokens.refresh(pair.refresh_token) is None
    session = UserSession.objects.get()
    assert (session.revoked_reason, session.suspicious_activity_count) == ("refresh_reuse", 0)


def failing(session, sighting):
    raise RuntimeError("an observer of the project's")


def test_an_observer_that_fails_breaks_nothing(seen, settings, caplog):
    settings.SESSIONS_EXT = {"OBSERVERS": [f"{__name__}.failing", "no.such", ALL[0]]}
    assert seen(address=AWAY) == ["network_changed"]
    warnings = [record.getMessage() for record in caplog.records if record.exc_info]
    assert [message.split()[1] for message in warnings] == [f"{__name__}.failing", "no.such"]


def test_observers_cost_nothing_between_touches(seen, django_assert_num_queries):
    seen()
    with django_assert_num_queries(1):
        assert seen(address=AWAY, agent="curl/8.14.1", seconds=1) == []
    with django_assert_num_queries(2):  # the touch
        assert seen() == []


def test_a_touch_without_a_request_shows_nothing(user, settings):
    settings.SESSIONS_EXT = {"OBSERVERS": [f"{__name__}.failing"]}
    session = UserSessionFactory(user=user, last_activity_at=timezone.now() - timedelta(hours=1))
    assert activity.record(session, None)
    assert session.suspicious_activity_count == 0


def break_the_transaction(session, sighting):
    UserSession.objects.create(pk=session.pk, user=session.user, expires_at=session.expires_at)


@pytest.mark.django_db(transaction=True)
def test_an_observer_whose_query_fails_undoes_nothing(user, settings):
    """F03: under ATOMIC_REQUESTS a detected replay stays revoked."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0, "OBSERVERS": [f"{__name__}.break_the_transaction"]}
    sys.modules.setdefault(__name__, sys.modules[break_the_transaction.__module__])
    backend = "django.contrib.auth.backends.ModelBackend"
    pair = tokens.login(RequestFactory().post("/"), user, backend)
    tokens.refresh(pair.refresh_token)
    with transaction.atomic():
        assert tokens.refresh(pair.refresh_token) is None
    pair.session.refresh_from_db()
    assert pair.session.is_revoked
