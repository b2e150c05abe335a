"""IS_ACTIVITY: which requests keep an idle session alive."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from sessions_ext import activity
from sessions_ext.models import UserSession
from sessions_ext.testing import log_in
from tests.api.calls import App

pytestmark = pytest.mark.django_db

asked = []


def unless_it_polls(request):
    asked.append(request.path)
    return "poll" not in request.GET


def fails(request):
    raise RuntimeError("no such header")


@pytest.fixture(autouse=True)
def _told(settings):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 3600, "IS_ACTIVITY": f"{__name__}.unless_it_polls"}
    asked.clear()


@pytest.fixture(params=["sync", "async"])
def get(request, client, aget):
    """GET a path as a browser in one of both worlds."""
    if request.param == "sync":
        return client.get
    return lambda path: aget(f"/a{path[1:]}")


def test_a_page_that_polls_does_not_keep_a_session_alive(client, get, user, later, engine):
    log_in(client, user)
    for _ in range(12):
        assert get("/who/?poll").content.decode() == user.get_username()
        later(300)
    assert get("/who/?poll").content == b"nobody"


def test_a_person_who_works_stays_signed_in_beside_it(client, get, user, later):
    session = log_in(client, user)
    for _ in range(3):
        later(1800)
        get("/who/?poll")
        assert get("/who/").content.decode() == user.get_username()
    session.refresh_from_db()
    assert session.last_activity_at == timezone.now()


def test_a_request_that_is_none_writes_nothing(client, get, user, later, django_assert_num_queries):
    log_in(client, user)
    get("/who/")
    later(61)
    with django_assert_num_queries(1):
        get("/who/?poll")
    with django_assert_num_queries(2):
        get("/who/")


def test_a_request_within_the_interval_is_not_asked_about(client, user, later):
    log_in(client, user)
    client.get("/who/")
    assert asked == []
    later(61)
    client.get("/who/")
    client.get("/row/")
    assert asked == ["/who/"]


def test_a_tokens_request_is_asked_about_too(user, later, django_capture_on_commit_callbacks):
    app = App(user)
    later(61)
    for path, moment in (("?poll", timezone.now() - timedelta(seconds=61)), ("", timezone.now())):
        with django_capture_on_commit_callbacks(execute=True):
            assert app.get(f"/bearer{path}").status_code == 200
        assert app.session.last_activity_at == moment


def test_the_end_moves_with_the_cookie_though_nobody_was_active(client, user, later):
    session = log_in(client, user)
    began = session.last_activity_at
    UserSession.objects.filter(pk=session.pk).update(expires_at=began + timedelta(days=1))
    later(61)
    client.get("/put/?key=cart&value=book&poll")
    session.refresh_from_db()
    assert session.expires_at > began + timedelta(days=13)
    assert session.last_activity_at == began


def test_an_end_that_was_there_first_is_not_moved(client, user, rf, later):
    session = log_in(client, user)
    UserSession.objects.for_user(user).revoke("stolen")
    assert activity.record(session, rf.get("/?poll"), expires_at=timezone.now()) is False


def test_what_fails_counts_as_activity_and_is_logged(client, get, user, later, settings, caplog):
    settings.SESSIONS_EXT = {**django_settings.SESSIONS_EXT, "IS_ACTIVITY": f"{__name__}.fails"}
    session = log_in(client, user)
    later(61)
    assert get("/who/").content.decode() == user.get_username()
    session.refresh_from_db()
    assert session.last_activity_at == timezone.now()
    (record,) = (one for one in caplog.records if "IS_ACTIVITY" in one.message)
    assert record.levelname == "ERROR"
    assert "no such header" in str(record.exc_info[1])


def test_what_is_no_request_is_activity(user, later):
    session = UserSession.objects.start(user)
    later(61)
    assert activity.record(session, None) is True
    assert asked == []
