"""Views that ask for a fresh login, and the page where people confirm who they are."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core import signing
from django.test import Client, override_settings
from django.utils import timezone

from sessions_ext import step_up
from sessions_ext.models import UserSession
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, log_in
from tests.views.conftest import long_ago
from tests.views.pages import text

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.stepping_up")]

MINUTE = 60
QUARTER = 15 * MINUTE


def body(response):
    return response.content.decode()


def next_of(url):
    return parse_qs(urlsplit(url).query)["next"][0]


def asked(client, path="/secret/"):
    """The address of the page that somebody is sent to."""
    response = client.get(path)
    assert response.status_code == 302, body(response)
    assert response.url.startswith("/devices/confirm/?next="), response.url
    return response.url


def confirm(client, url, password="password"):
    """Fill in the form that the page has."""
    page = client.get(url)
    fields = dict(re.findall(r'<input[^>]* name="(\w+)" value="([^"]*)"', body(page)))
    return client.post(
        url, {name: unescape(value) for name, value in fields.items()} | {"password": password}
    )


@pytest.fixture
def here(client, user, later):
    return log_in(client, user)


# When a session is fresh


@pytest.mark.parametrize("path", ["/secret/", "/asecret/", "/apage/"])
def test_whoever_signed_in_a_while_ago_confirms_and_comes_back(client, aget, here, later, path):
    get = aget if path.startswith("/a") else client.get
    assert get(path).status_code == 200
    later(QUARTER - 1)
    assert get(path).status_code == 200
    later(1)
    url = get(path).url
    assert "That is not your password." in text(confirm(client, url, "wrong"))
    assert get(path).status_code == 302
    response = confirm(client, url)
    assert response.url == path
    assert get(path).status_code == 200
    assert client.session[ID_KEY] == str(here.pk)
    later(QUARTER)
    assert get(path).status_code == 302


def test_how_long_is_the_views_to_say(client, here, later):
    pages = {"/secret/": 15, "/half-page/": 30, "/page/": 60, "/hourly/": 60}
    for minutes in (0, 16, 31, 61):
        later(minutes * MINUTE - (timezone.now() - here.authenticated_at).total_seconds())
        for path, good in pages.items():
            assert (client.get(path).status_code == 200) == (minutes < good), (minutes, path)


def test_activity_makes_no_session_fresh(client, here, later):
    for _ in range(15):
        later(MINUTE)
        client.get("/who/")
    here.refresh_from_db()
    assert here.last_activity_at > here.authenticated_at
    assert client.get("/secret/").status_code == 302


def test_who_confirms_is_back_in_time_even_where_no_time_is_given(client, here, later):
    later(MINUTE)
    url = asked(client, "/strict/")
    assert confirm(client, url).url == "/strict/"
    later(20)
    assert body(client.get("/strict/")) == "strict"
    later(11)
    asked(client, "/strict/")


def test_a_setting_turns_it_off_where_a_view_says_nothing(client, here, later, settings):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_AFTER": None}
    later(10 * 60 * MINUTE)
    assert client.get("/secret/").status_code == 200
    assert client.get("/hourly/").status_code == 302


@pytest.mark.django_db(transaction=True)
def test_an_adopted_login_is_fresh_only_after_a_confirmation(client, here, later, settings):
    """Whatever LIFETIME says: nobody knows when its person last proved anything."""
    settings.SESSIONS_EXT = {"REAUTHENTICATE_AFTER": timedelta(days=365)}
    data = client.session
    del data[ID_KEY]
    data.save()
    here.delete()
    url = asked(client)
    assert confirm(client, url).url == "/secret/"
    assert client.get("/secret/").status_code == 200


def test_who_acts_as_somebody_else_is_never_fresh_and_has_nothing_to_confirm(client, here):
    UserSession.objects.filter(pk=here.pk).update(impersonator=UserFactory())
    assert client.get("/secret/").status_code == 403
    assert client.get("/devices/confirm/").status_code == 403
    assert client.post("/devices/confirm/", {"password": "password"}).status_code == 403
    assert body(client.get("/confirmed/")) == "False"
    other = log_in(Client(), here.user)
    assert client.post(f"/devices/{other.pk}/sign-out/", {"password": "password"}).status_code == 403
    other.refresh_from_db()
    assert other.is_active


def test_an_ended_session_is_never_fresh(user, here):
    assert here.is_fresh()
    here.revoke("stolen")
    assert not here.is_fresh()


# Pages of others


@pytest.mark.parametrize("path", ["/confirmed/", "/aconfirmed/"])
def test_a_page_of_the_projects_own_can_confirm(engine, client, aget, here, later, path):
    client.get("/who/")
    later(QUARTER)
    before = client.cookies["sessionid"].value
    response = (aget if path.startswith("/a") else client.get)(path)
    assert body(response) == "True"
    client.cookies["sessionid"] = response.cookies["sessionid"].value
    assert client.cookies["sessionid"].value != before
    assert client.get("/secret/").status_code == 200
    assert body(client.get("/row/")) == str(here.pk)


def test_a_proof_that_a_package_tells_of_counts(client, here, later):
    later(QUARTER)
    for query in ("", "?proof&other"):
        client.get(f"/by-a-package/{query}")
        assert body(client.get("/fresh/")) == "False"
    client.get("/by-a-package/?proof")
    assert body(client.get("/fresh/")) == "True"


@pytest.mark.django_db(transaction=True)
def test_a_confirmation_is_seen_at_once_though_the_row_is_cached(client, here, later, settings):
    settings.SESSIONS_EXT = {"CACHE": "default"}
    later(QUARTER)
    url = asked(client)
    client.get("/who/")
    confirm(client, url)
    for _ in range(2):
        assert client.get("/secret/").status_code == 200


def test_without_a_login_there_is_nothing_to_confirm(client):
    assert body(client.get("/confirmed/")) == "False"
    assert not UserSession.objects.exists()


def test_a_confirmation_whose_answer_fails_signs_nobody_out(client, here, later):
    client.raise_request_exception = False
    later(QUARTER)
    assert client.get("/failing/").status_code == 500
    assert body(client.get("/row/")) == str(here.pk)
    asked(client)


# Scripts

SCRIPTS = {
    "fetch": {"Sec-Fetch-Mode": "cors", "Accept": "*/*"},
    "fetch of the same site": {"Sec-Fetch-Mode": "same-origin"},
    "htmx": {"HX-Request": "true", "Sec-Fetch-Mode": "navigate"},
    "jQuery": {"X-Requested-With": "XMLHttpRequest", "Accept": "text/html"},
    "a client of JSON": {"Accept": "application/json"},
}


@pytest.mark.parametrize("headers", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize(("path", "age"), [("/secret/", 900), ("/hourly/", 3600), ("/strict/", 30)])
def test_a_script_is_told_by_the_challenge_of_rfc_9470(client, here, later, headers, path, age):
    later(60 * MINUTE)
    response = client.get(path, headers=headers)
    assert response.status_code == 401
    challenge = f'Bearer error="insufficient_user_authentication", max_age="{age}"'
    assert response["WWW-Authenticate"] == challenge
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert (problem["code"], problem["max_age"]) == ("insufficient_user_authentication", age)


def test_a_post_of_json_is_a_script(client, here, later):
    later(QUARTER)
    assert client.post("/secret/", {}, "application/json").status_code == 401


@pytest.mark.parametrize("accept", ["", "*/*", "text/html,application/xhtml+xml,*/*;q=0.8"])
def test_a_browser_gets_the_page(client, here, later, accept):
    later(QUARTER)
    headers = {"Accept": accept, "Sec-Fetch-Mode": "navigate"}
    assert client.get("/secret/", headers=headers).status_code == 302
    assert client.get("/secret/", headers={"Accept": accept} if accept else {}).status_code == 302


def test_nobody_is_sent_to_sign_in(client):
    assert client.get("/secret/?x=1").url == "/login/?next=/secret/%3Fx%3D1"
    answer = client.get("/secret/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == "Bearer"
    assert client.get("/devices/confirm/").url.startswith("/login/")


# Attacks


def test_a_copy_of_the_cookie_from_before_is_not_fresh(engine, client, here, later):
    thief = Client()
    later(QUARTER)
    url = asked(client)
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    confirm(client, url)
    assert client.get("/secret/").status_code == 200
    assert thief.get("/secret/").status_code == 302
    # What may go on where the cookie itself is the store is not fresh.
    assert body(thief.get("/fresh/")) == "False"


@pytest.fixture
def copy(client, here, later, settings):
    """A browser with a copy of the cookie from before the confirmation. The cookie itself is the store, so
    that the copy goes on to work."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client.cookies.clear()
    client.force_login(here.user)
    copy = Client()
    copy.cookies["sessionid"] = client.cookies["sessionid"].value
    later(QUARTER)
    assert body(client.get("/confirmed/")) == "True"
    return copy


@pytest.mark.parametrize("path", ["/cycle/", "/emptied/"])
def test_nothing_that_a_page_does_to_its_session_makes_a_copy_fresh(client, copy, path):
    assert copy.get(path).status_code == 200
    assert body(copy.get("/fresh/")) == "False"
    assert body(client.get("/fresh/")) == "True"


def test_a_new_secret_key_makes_no_copy_fresh(copy, settings):
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another secret key" * 3
    assert copy.get("/who/").content != b"nobody"
    assert body(copy.get("/fresh/")) == "False"


def test_a_confirmation_makes_no_other_session_fresh(client, here, later, user):
    other = Client()
    log_in(other, user)
    later(QUARTER)
    confirm(client, asked(client))
    assert client.get("/secret/").status_code == 200
    assert other.get("/secret/").status_code == 302


def test_the_password_of_somebody_else_confirms_nobody(client, here, later):
    other = UserFactory(password="theirs")
    later(QUARTER)
    url = asked(client)
    client.post(url, {"password": "theirs", "username": other.get_username()})
    assert client.get("/secret/").status_code == 302


def test_a_replayed_confirmation_confirms_nothing(client, here, later, user):
    """A form that was sent, sent again from a session that came after: by another tab, or by who found it."""
    later(QUARTER)
    url = asked(client)
    form = {"password": "password", "session": str(here.pk), "next": next_of(url)}
    assert client.post(url, form).status_code == 302
    UserSession.objects.filter(pk=here.pk).revoke("stolen")
    log_in(client, user)
    later(QUARTER)
    assert client.post(url, form).status_code == 200
    assert client.get("/secret/").status_code == 302


def test_without_the_csrf_token_nothing_is_confirmed(here, client, later):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    later(QUARTER)
    assert strict.post(asked(client), {"password": "password"}).status_code == 403
    assert client.get("/secret/").status_code == 302


def forged(request_user, session, url, asked_at=None, salt=step_up.SALT):
    return signing.dumps([str(request_user.pk), str(session.pk), url, asked_at], salt=salt)


def test_next_leads_nowhere_else(client, here, user):
    theirs = log_in(Client(), UserFactory())
    other = log_in(Client(), user)
    elsewhere = [
        "https://evil.example/",
        "//evil.example/",
        "/private/",  # nobody has signed it
        signing.dumps("/private/", salt=step_up.SALT),
        signing.dumps(["a", "b"], salt=step_up.SALT),
        forged(user, here, "https://evil.example/"),
        forged(user, here, "//evil.example/"),
        forged(user, here, "javascript:alert(1)"),
        forged(user, here, "/private/", salt="sessions_ext.not_me"),
        forged(user, other, "/private/"),
        forged(theirs.user, theirs, "/private/"),
        forged(user, here, "/private/") + "x",
    ]
    for token in elsewhere:
        response = client.post("/devices/confirm/", {"password": "password", "next": token})
        assert response.url == "/devices/", token
    token = forged(user, here, "/private/")
    assert client.post("/devices/confirm/", {"password": "password", "next": token}).url == "/private/"


def test_a_path_that_looks_like_another_site_is_none(client, here, later):
    """A path may begin with two slashes, and browsers take that for a host."""
    request = client.get("/who/").wsgi_request
    token = next_of(step_up.link_to_confirm(request, "//evil.example/"))
    assert client.post("/devices/confirm/", {"password": "password", "next": token}).url == "/devices/"


def test_a_link_is_good_for_an_hour(client, here, later, user):
    token = forged(user, here, "/private/")
    later(3601)
    assert client.post("/devices/confirm/", {"password": "password", "next": token}).url == "/devices/"


# Without a password


@pytest.fixture
def single(user, here):
    get_user_model().objects.filter(pk=user.pk).update(password=make_password(None))
    user.refresh_from_db()
    return user


@pytest.fixture
def gone(client, single, later):
    """Somebody of single sign-on, a while after the login."""
    log_in(client, single)
    later(QUARTER)
    return client


@pytest.mark.parametrize(
    ("setting", "path"), [("sso", "/sso/"), ("tests.stepping_up.elsewhere", "/sso/"), (None, "/login/")]
)
def test_who_has_no_password_proves_it_elsewhere_and_comes_back(gone, single, later, settings, setting, path):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": setting}
    away = gone.get(asked(gone)).url
    assert urlsplit(away).path == path
    later(10)
    log_in(gone, single)  # as a provider's callback does
    assert gone.get(next_of(away)).url == "/secret/"
    assert gone.get("/secret/").status_code == 200


def test_without_time_zones_it_is_the_same(client, user, settings):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "sso"}
    user.set_unusable_password()
    user.save()
    with override_settings(USE_TZ=False, TIME_ZONE="America/Phoenix"):  # no clock is ever changed there
        here = log_in(client, user)
        long_ago(here)
        away = client.get(asked(client)).url
        assert client.get(next_of(away)).status_code == 403
        log_in(client, user)
        assert client.get(next_of(away)).url == "/secret/"
        assert client.get("/secret/").status_code == 200


def test_a_provider_that_logs_out_first_brings_people_back_too(gone, single, settings):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "sso"}
    away = gone.get(asked(gone)).url
    gone.get("/logout/")
    log_in(gone, single)
    assert gone.get(next_of(away)).url == "/secret/"


def test_who_comes_back_without_a_proof_does_not_go_round_in_circles(gone, settings):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "sso"}
    back = next_of(gone.get(asked(gone)).url)
    page = gone.get(back)
    assert page.status_code == 403
    assert "We could not confirm that it" in text(page)
    again = unescape(re.search(r'href="(/devices/confirm/[^"]*)"', body(page))[1])
    assert gone.get(again).url.startswith("/sso/")
    assert gone.get("/secret/").status_code == 302


def test_the_way_back_is_for_one_person(gone, settings):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "sso"}
    back = next_of(gone.get(asked(gone)).url)
    gone.get("/logout/")
    log_in(gone, UserFactory())
    assert gone.get(back).status_code == 200  # they are asked for their own password


def test_without_a_link_the_way_back_is_the_list(gone, single, settings):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "sso"}
    back = next_of(gone.get("/devices/confirm/").url)
    log_in(gone, single)
    assert gone.get(back).url == "/devices/"
