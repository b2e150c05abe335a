"""The way out of ON_LIMIT "deny": whoever has the password ends a session of theirs, and nobody else can."""

import re
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from django.core import signing
from django.test import Client, override_settings
from django.urls import path

from sessions_ext import make_room
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.api.calls import JSON
from tests.urls import sign_in
from tests.views.pages import reason_of, text

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _limit_1(settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}


@pytest.fixture
def there(user):
    """The session of a browser that is lost."""
    return UserSessionFactory(user=user, device_info="Safari on iPhone", location="New York, US")


def credentials(user, password="password"):
    return {"username": user.get_username(), "password": password}


def knock(client, user, **more):
    return shown(client.post("/login/", credentials(user) | more))


def shown(response):
    """The address of the page that a refused login shows."""
    assert response.status_code == 403, response.content
    return unescape(re.search(r'action="(/devices/make-room/[^"]+)"', response.content.decode())[1])


def buttons(page):
    return re.findall(r'name="session" value="([^"]*)"', page.content.decode())


def is_nobody(client):
    return client.get("/who/").content == b"nobody"


@pytest.mark.user_model
def test_who_has_lost_their_only_browser_gets_in_within_one_page(client, user, there, engine):
    url = knock(client, user, next="/private/?page=2")
    page = client.get(url)
    assert "Safari on iPhone" in text(page)
    assert "New York, US" in text(page)
    assert is_nobody(client)
    page = client.post(url, {"session": buttons(page)[0]})
    assert "There is room for this device now." in text(page)
    assert reason_of(there) == "user"
    assert is_nobody(client)  # the page logs nobody in
    login = unescape(re.search(r'href="(/login/[^"]*)"', page.content.decode())[1])
    assert login == "/login/?next=%2Fprivate%2F%3Fpage%3D2"
    assert client.post(login, credentials(user)).status_code == 200
    assert client.get("/who/").content.decode() == user.get_username()
    assert UserSession.objects.for_user(user).active().count() == 1


def test_it_is_the_same_in_the_async_world(apost, aget, user, there):
    response = apost("/alogin/", credentials(user))
    assert "Safari on iPhone" in text(response)
    assert "Safari on iPhone" in text(aget(shown(response)))
    apost(shown(response), {"session": str(there.pk)})
    assert reason_of(there) == "user"
    assert apost("/alogin/", credentials(user)).content.decode() == user.get_username()


def test_without_time_zones_it_is_the_same(client, user, settings):
    with override_settings(USE_TZ=False, TIME_ZONE="America/Phoenix"):  # no clock is ever changed there
        there = UserSession.objects.start(user)
        url = knock(client, user)
        assert buttons(client.get(url)) == [str(there.pk)]
        assert "There is room for this device now." in text(client.post(url, {"session": str(there.pk)}))
        log_in(client, user)
        assert client.get(url).status_code == 404


def test_looking_ends_nothing(client, user, there):
    client.get(knock(client, user))
    assert reason_of(there) == ""


def test_the_page_says_no_more_than_it_must(client, user, there):
    UserSession.objects.filter(pk=there.pk).update(ip_address="203.0.113.9", user_agent="secret agent")
    page = client.get(knock(client, user))
    assert user.get_username() not in text(page)
    assert "203.0.113.9" not in page.content.decode()
    assert "secret agent" not in page.content.decode()
    assert page["Referrer-Policy"] == "same-origin"
    assert "no-store" in page["Cache-Control"]
    assert "private" in page["Cache-Control"]


def test_a_session_that_somebody_else_acts_in_takes_no_place(client, user, there):
    acting = UserSessionFactory(user=user, impersonator=UserFactory())
    assert buttons(client.get(knock(client, user))) == [str(there.pk)]
    client.post(knock(client, user), {"session": str(acting.pk)})
    assert reason_of(acting) == ""


def test_staff_who_begin_to_act_as_somebody_do_not_take_the_way_out_from_them(client, user, there, later):
    url = knock(client, user)
    later(1)
    UserSessionFactory(user=user, impersonator=UserFactory())
    assert buttons(client.get(url)) == [str(there.pk)]


# Nobody else


def test_a_wrong_password_opens_no_page(client, user, there):
    assert client.post("/login/", credentials(user, "wrong")).status_code == 401


def test_without_the_csrf_token_nothing_ends(user, there, client):
    url = knock(client, user)
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(url, {"session": str(there.pk)}).status_code == 403
    assert reason_of(there) == ""


@pytest.mark.parametrize("what", ["a stranger's", "unknown", "", "x", "\0"])
def test_only_sessions_of_ones_own_are_ended(client, user, there, what):
    theirs = UserSessionFactory()
    sent = {"a stranger's": str(theirs.pk), "unknown": "0" * 32}.get(what, what)
    page = client.post(knock(client, user), {"session": sent})
    assert buttons(page) == [str(there.pk)]
    assert reason_of(theirs) == reason_of(there) == ""


def is_refused(url, session, status=404):
    """By whoever holds the address: they see nothing and end nothing."""
    for response in (Client().get(url), Client().post(url, {"session": str(session.pk)})):
        assert response.status_code == status
        assert buttons(response) == []
    return reason_of(session) == ""


def test_after_ten_minutes_it_is_over(client, user, there, later):
    url = knock(client, user)
    later(601)
    assert is_refused(url, there)


def test_a_token_dies_with_the_password(client, user, there):
    url = knock(client, user)
    get_user_model().objects.filter(pk=user.pk).update(password="another")
    assert is_refused(url, there)


@pytest.mark.parametrize("change", ["disabled", "deleted"])
def test_a_token_dies_with_the_account(client, user, there, change):
    url = knock(client, user)
    if change == "disabled":
        get_user_model().objects.filter(pk=user.pk).update(is_active=False)
        assert is_refused(url, there)
    else:
        user.delete()
        assert Client().get(url).status_code == 404


def test_a_token_dies_with_the_next_login(client, user, there, later):
    """Whoever finds the page in the history of a browser ends nothing."""
    url = knock(client, user)
    later(1)
    client.post(url, {"session": str(there.pk)})
    later(1)
    again = log_in(client, user)
    assert is_refused(url, again)


def test_a_token_ends_nothing_once_there_is_room(client, user, there, settings):
    settings.SESSIONS_EXT |= {"MAX_SESSIONS": 2}
    other = UserSessionFactory(user=user)
    url = knock(client, user)
    client.post(url, {"session": str(there.pk)})
    assert is_refused(url, other, 200)
    assert reason_of(there) == "user"


def test_where_a_limit_was_lowered_sessions_are_ended_until_there_is_room(client, user, there, settings):
    other = UserSessionFactory(user=user)
    url = knock(client, user)
    assert len(buttons(client.get(url))) == 2
    assert buttons(client.post(url, {"session": str(there.pk)})) == [str(other.pk)]
    assert "There is room for this device now." in text(client.post(url, {"session": str(other.pk)}))
    settings.SESSIONS_EXT = {}
    assert "There is room for this device now." in text(client.get(url))


def test_other_signatures_are_no_tokens(user, there, client):
    genuine = make_room.token_for(user)
    mark = signing.loads(genuine, salt=make_room.SALT)
    for token in (
        "x",
        genuine + "x",
        signing.dumps(mark, salt="sessions_ext.not_me"),
        signing.dumps([str(user.pk), mark[1], ""], salt=make_room.SALT),
        signing.dumps([str(UserFactory().pk), *mark[1:]], salt=make_room.SALT),
        signing.dumps(["no key of a user", *mark[1:]], salt=make_room.SALT),
    ):
        assert is_refused(f"/devices/make-room/{token}/", there), token
    assert client.get(f"/devices/make-room/{genuine}/").status_code == 200
    assert client.get(f"/devices/not-me/{genuine}/").status_code == 404


# Who is not sent there


@pytest.mark.parametrize("headers", [{"Accept": JSON}, {"Sec-Fetch-Mode": "cors"}, {"HX-Request": "true"}])
def test_a_script_is_answered_403(client, user, there, headers):
    assert client.post("/login/", credentials(user), headers=headers).status_code == 403


def test_where_a_limit_of_0_denies_all_there_is_no_way_out(client, user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 0}
    assert client.post("/login/", credentials(user)).status_code == 403


urlpatterns = [path("login/", sign_in)]


@pytest.mark.urls(__name__)
def test_without_our_pages_it_is_403(client, user, there):
    assert client.post("/login/", credentials(user)).status_code == 403
