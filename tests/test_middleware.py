"""What a request costs and what it sees, in both worlds."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_ext.middleware import UserSessionMiddleware
from sessions_ext.models import UserSession
from sessions_ext.signals import session_client_changed
from sessions_ext.testing import UserFactory, log_in

pytestmark = pytest.mark.django_db

# What Django alone costs: the session's own query, if the engine has one, and the user's.
QUERIES = {"db": 2, "cached_db": 1, "cache": 1, "file": 1, "signed_cookies": 1}
# The engine db loads row and user together with the data.
OURS = QUERIES | {"db": 1}
WITHOUT_APP = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


@pytest.mark.parametrize("path", ["/who/", "/awho/"])
def test_the_budgets_are_those_of_django_alone(
    client, aget, user, engine, settings, django_assert_num_queries, path
):
    log_in(client, user)
    settings.MIDDLEWARE = WITHOUT_APP
    with django_assert_num_queries(QUERIES[engine]):
        response = (aget if path == "/awho/" else client.get)(path)
    assert response.content.decode() == user.get_username()


@pytest.mark.parametrize("path", ["/who/", "/row/", "/data/"])  # /data/ alone: one more than Django
def test_an_authenticated_request_costs_no_more_than_without_the_app(
    client, user, engine, path, django_assert_num_queries
):
    log_in(client, user)
    with django_assert_num_queries(OURS[engine]):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/awho/", "/arow/", "/adata/"])
def test_an_async_request_costs_the_same(client, aget, user, engine, path, django_assert_num_queries):
    log_in(client, user)
    with django_assert_num_queries(OURS[engine]):
        assert aget(path).status_code == 200


@pytest.mark.parametrize("signed_in", [True, False])
def test_an_untouched_session_costs_nothing(client, aget, user, engine, signed_in, django_assert_num_queries):
    if signed_in:
        log_in(client, user)
    with django_assert_num_queries(0):
        responses = client.get("/untouched/"), aget("/auntouched/")
    for response in responses:
        assert not response.has_header("Vary")
        assert not response.cookies


def test_an_anonymous_visitor_costs_nothing(both, client, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert both("/who/") == ("nobody", "nobody")
        assert both("/row/") == ("none", "none")


def test_user_and_row_are_those_of_the_login(both, client, user, engine):
    session = log_in(client, user)
    assert both("/who/") == (user.get_username(), user.get_username())
    assert both("/row/") == (str(session.pk), str(session.pk))


def test_a_request_touches_once_per_interval(client, aget, user, later, django_assert_num_queries):
    session = log_in(client, user)
    later(59)
    with django_assert_num_queries(1):
        client.get("/who/")
    later(1)
    with django_assert_num_queries(2):
        client.get("/who/")
    session.refresh_from_db()
    assert session.last_activity_at == timezone.now()
    with django_assert_num_queries(1):
        client.get("/who/")
    later(60)
    with django_assert_num_queries(2):
        aget("/awho/")
    session.refresh_from_db()
    assert session.last_activity_at == timezone.now()


def test_a_touch_and_a_moved_end_are_one_statement(client, user, later):
    session = log_in(client, user)
    later(61)
    with CaptureQueriesContext(connection) as queries:
        client.get("/put/?key=a&value=1")
    ours = [query["sql"] for query in queries if "sessions_ext" in query["sql"]]
    assert [sql.split()[0] for sql in ours] == ["SELECT", "UPDATE"]
    session.refresh_from_db()
    assert session.last_activity_at == timezone.now()
    assert session.expires_at > session.created_at + timedelta(days=14)


def test_an_untouched_session_is_not_active(client, user, later):
    session = log_in(client, user)
    later(3600)
    client.get("/untouched/")
    before = session.last_activity_at
    session.refresh_from_db()
    assert session.last_activity_at == before


def test_a_touch_notices_a_new_address(client, user, later, django_capture_on_commit_callbacks, receiver_of):
    received = receiver_of(session_client_changed)
    session = log_in(client, user, last_ip_address="192.0.2.1")
    later(60)
    with django_capture_on_commit_callbacks(execute=True):
        client.get("/who/", REMOTE_ADDR="192.0.2.1")
    later(60)
    with django_capture_on_commit_callbacks(execute=True):
        client.get("/who/", REMOTE_ADDR="198.51.100.7")
    session.refresh_from_db()
    assert session.last_ip_address == "198.51.100.7"
    assert [(sent["previous_ip_address"], sent["ip_address"]) for sent in received] == [
        ("192.0.2.1", "198.51.100.7")
    ]
    assert received[0]["session"] == session


def test_a_request_without_an_address_keeps_the_last_one(client, user, later):
    session = log_in(client, user, last_ip_address="192.0.2.1")
    later(60)
    client.get("/who/", REMOTE_ADDR="")
    session.refresh_from_db()
    assert session.last_ip_address == "192.0.2.1"
    assert session.last_activity_at == timezone.now()


def test_an_idle_session_is_signed_out(both, client, user, settings, later):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 600}
    log_in(client, user)
    later(599)
    assert both("/who/") == (user.get_username(), user.get_username())
    later(600)
    assert both("/who/") == ("nobody", "nobody")


def test_activity_does_not_outlast_the_absolute_lifetime(client, user, settings, later):
    settings.SESSIONS_EXT = {"LIFETIME": 1000}
    log_in(client, user)
    for _ in range(9):
        later(100)
        assert client.get("/who/").content.decode() == user.get_username()
    later(100)
    assert client.get("/who/").content == b"nobody"


def test_the_row_ends_with_the_cookie(client, user, settings, later):
    settings.SESSION_COOKIE_AGE = 7200
    client.post("/login/", {"username": user.get_username(), "password": "password"})
    session = UserSession.objects.get()
    assert session.expires_at == session.created_at + timedelta(hours=2)


def test_a_cookie_that_slides_lives_for_the_lifetime(client, user, settings):
    settings.SESSION_COOKIE_AGE = 7200
    settings.SESSION_SAVE_EVERY_REQUEST = True
    client.post("/login/", {"username": user.get_username(), "password": "password"})
    session = UserSession.objects.get()
    assert session.expires_at == session.created_at + timedelta(days=30)
    client.get("/put/?key=a&value=1")
    session.refresh_from_db()
    assert session.expires_at == session.created_at + timedelta(days=30)


def test_the_row_follows_an_expiry_set_after_the_login(client, user, later):
    """As a "remember me" box does."""
    session = log_in(client, user)
    client.get("/expiry/?seconds=1800")
    session.refresh_from_db()
    assert session.expires_at == timezone.now() + timedelta(minutes=30)
    later(1200)
    client.get("/put/?key=a&value=1")  # Django issues the cookie anew, for 30 minutes more
    session.refresh_from_db()
    assert session.expires_at == timezone.now() + timedelta(minutes=30)
    later(1799)
    assert client.get("/who/").content.decode() == user.get_username()


def test_an_expiry_set_by_the_project_stays_within_the_lifetime(client, user, later):
    session = log_in(client, user)
    client.get(f"/expiry/?seconds={10**9}")
    session.refresh_from_db()
    assert session.expires_at == session.created_at + timedelta(days=30)


def test_a_login_page_answers_a_revoked_browser(client, user):
    log_in(client, user)
    UserSession.objects.for_user(user).revoke("admin")
    response = client.get("/private/")
    assert response.status_code == 302
    assert response.url.startswith("/login/")
    assert client.cookies["sessionid"].value == ""


def test_login_required_middleware_sends_a_revoked_browser_to_log_in(client, user, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    log_in(client, user)
    assert client.get("/untouched/").status_code == 200
    UserSession.objects.for_user(user).revoke("admin")
    assert client.get("/untouched/").url.startswith("/login/")


def test_the_page_cache_varies_by_cookie_once_the_user_is_read(client, aget, user):
    log_in(client, user)
    assert client.get("/who/")["Vary"] == "Cookie"
    assert aget("/awho/")["Vary"] == "Cookie"


def test_a_view_that_fails_is_still_activity(user, later):
    client = Client(raise_request_exception=False)
    session = log_in(client, user)
    later(60)
    assert client.get("/fail/").status_code == 500
    session.refresh_from_db()
    assert session.last_activity_at == timezone.now()


def test_a_touch_that_fails_does_not_fail_the_request(client, aget, user, later, monkeypatch, caplog):
    def fail(*args):
        raise OperationalError("the disk is full")

    log_in(client, user)
    monkeypatch.setattr("sessions_ext.activity._write", fail)
    later(60)
    assert client.get("/who/").content.decode() == user.get_username()
    assert aget("/awho/").content.decode() == user.get_username()
    assert [record.getMessage() for record in caplog.records] == [
        "could not record the activity of a session"
    ] * 2


def test_data_touched_before_the_middleware_is_verified_as_well(both, client, user, settings):
    early = "tests.test_middleware.TouchesSession"
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], early, *settings.MIDDLEWARE[1:]]
    log_in(client, user)
    assert both("/who/") == (user.get_username(), user.get_username())
    UserSession.objects.for_user(user).revoke("admin")
    assert both("/who/") == ("nobody", "nobody")
    assert client.get("/data/").json() == {}


def TouchesSession(get_response):  # noqa: N802
    def middleware(request):
        request.session.get("anything")
        return get_response(request)

    return middleware


def test_a_user_set_by_another_kind_of_login_stays(client, settings):
    UserFactory(username="by-token")
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE[:2],
        "tests.test_middleware.LogsInByHeader",
        *settings.MIDDLEWARE[2:],
    ]
    assert client.get("/who/", headers={"X-User": "by-token"}).content == b"by-token"
    assert client.get("/who/").content == b"nobody"


def LogsInByHeader(get_response):  # noqa: N802
    def middleware(request):
        from django.contrib.auth import get_user_model

        if name := request.headers.get("X-User"):
            request.user = get_user_model().objects.get(username=name)
        return get_response(request)

    return middleware


@pytest.mark.parametrize("given", [{}, {"user": AnonymousUser(), "session": {}}])
def test_the_middleware_names_what_it_needs(given):
    middleware = UserSessionMiddleware(lambda request: HttpResponse())
    request = RequestFactory().get("/")
    vars(request).update(given)
    with pytest.raises(ImproperlyConfigured, match="needs SessionMiddleware and AuthenticationMiddleware"):
        middleware(request)


def test_the_middleware_listed_twice_is_harmless(both, client, user, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "sessions_ext.middleware.UserSessionMiddleware"]
    log_in(client, user)
    assert both("/who/") == (user.get_username(), user.get_username())
    UserSession.objects.for_user(user).revoke("admin")
    assert both("/who/") == ("nobody", "nobody")
