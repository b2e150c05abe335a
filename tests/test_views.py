"""The page "Your devices", as somebody uses it who has forms and links and no JavaScript."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse
from django.utils import timezone, translation
from django.views.generic import View

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.store import AUTHENTICATED_KEY, ID_KEY
from sessions_ext.templatetags.sessions_ext import ago, device_kind, why_ended
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from sessions_ext.views import SessionsMixin
from tests.user_agents import USER_AGENTS

pytestmark = pytest.mark.django_db

LIST = "/devices/"
OTHERS = "/devices/sign-out-others/"
SCRIPT = "<script>alert(1)</script>"


def sign_out(session):
    return f"/devices/{session.pk}/sign-out/"


def trust(session):
    return f"/devices/{session.pk}/trust/"


def reason_of(session):
    session.refresh_from_db()
    return session.revoked_reason


def text(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


@pytest.fixture
def here(client, user):
    """The session of `client`, whose person typed the password just now."""
    return log_in(client, user, device_info="Firefox on Linux")


@pytest.fixture
def there(user):
    return UserSessionFactory(user=user, device_info="Safari on iPhone", location="New York, US")


@pytest.fixture
def stale(client, here):
    """The same, but it is a while ago."""
    data = client.session
    data[AUTHENTICATED_KEY] -= 16 * 60
    data.save()
    return here


# The list


def test_a_person_sees_their_sessions_and_nobody_elses(client, here, there):
    UserSessionFactory(device_info="Chrome on a stranger's desk")
    page = text(client.get(LIST))
    assert "Firefox on Linux This device" in page
    assert "Safari on iPhone New York, US · 192.0.2.1 Last active just now · signed in" in page
    assert "stranger" not in page
    assert "Recently ended" not in page


def test_the_current_session_is_the_first_and_the_only_marked_one(client, here, user):
    for _ in range(3):
        UserSessionFactory(user=user, created_at=timezone.now() + timedelta(seconds=5))
    page = client.get(LIST).content.decode()
    ids = re.findall(r'<h2 id="sx-([0-9a-f-]{36})"', page)
    assert (ids[0], len(ids)) == (str(here.pk), 4)
    assert page.count("This device</span>") == 1
    assert page.index("This device</span>") < page.index(ids[1])


def test_of_many_sessions_the_current_one_is_shown(client, here, user, monkeypatch):
    monkeypatch.setattr(SessionsMixin, "active_shown", 3)
    for _ in range(5):
        UserSessionFactory(user=user, created_at=timezone.now() + timedelta(seconds=5))
    assert f"sx-{here.pk}" in client.get(LIST).content.decode()


def test_what_ended_is_below_with_the_reason(client, here, user):
    for reason in ("logout", "password_change", "limit", "stolen laptop"):
        UserSession.objects.filter(pk=UserSessionFactory(user=user).pk).revoke(reason)
    UserSessionFactory(user=user, expired=True)
    page = text(client.get(LIST))
    ended = page[page.index("Recently ended") :]
    for why in ("You signed out", "Password changed", "Too many devices", "stolen laptop", "Expired"):
        assert why in ended


def test_where_a_session_was_used_last_is_not_where_it_signed_in(client, here, there):
    """Or else the address of a thief would stand beside the city of the owner."""
    UserSession.objects.filter(pk=there.pk).update(last_ip_address="198.51.100.66")
    page = text(client.get(LIST))
    assert "Safari on iPhone New York, US · 192.0.2.1 Last active just now" in page
    assert "last from 198.51.100.66" in page
    assert page.count("last from") == 1


def test_what_idled_out_ended_then_and_not_when_it_would_have_expired(client, here, user, settings):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 3600}
    now, day, hour = timezone.now(), timedelta(days=1), timedelta(hours=1)
    begun = {"user": user, "created_at": now - 5 * day}
    idle = UserSessionFactory(last_activity_at=now - 4 * day, expires_at=now + 25 * day, **begun)
    revoked = UserSessionFactory(revoked=True, revoked_at=now - 3 * day, **begun)
    expired = UserSessionFactory(last_activity_at=now - 2 * day, expires_at=now - 2 * day, **begun)
    ended = list(UserSession.objects.for_user(user).ended())
    assert ended == [expired, revoked, idle]
    assert [session.ended_at for session in ended] == [now - 2 * day, now - 3 * day, now - 4 * day + hour]
    assert here.ended_at is None
    shown = timezone.localtime(now - 4 * day + hour).isoformat()
    assert f'datetime="{shown}"' in client.get(LIST).content.decode()


def test_without_an_idle_timeout_it_ended_when_it_expired(user):
    session = UserSessionFactory(user=user, expired=True)
    assert session.ended_at == session.expires_at


@pytest.mark.parametrize("reason", RevokedReason)
def test_every_reason_has_words_for_the_person(reason):
    words = why_ended(UserSession(is_revoked=True, revoked_reason=reason.value))
    assert words[0].isupper()  # the values are not


def test_the_page_costs_two_queries_however_many_sessions(client, here, user, django_assert_num_queries):
    with django_assert_num_queries(2) as own:
        client.get("/who/")
    for number in range(30):
        UserSessionFactory(user=user, revoked=number % 2 == 0)
    with django_assert_num_queries(len(own) + 2):
        client.get(LIST)


def test_the_page_of_nobody_is_the_login_page(client, there):
    response = client.get(LIST)
    assert response.url == f"/login/?next={LIST}"


def test_the_page_is_kept_by_no_cache(client, here):
    assert "no-store" in client.get(LIST).headers["Cache-Control"]


def test_a_script_in_a_user_agent_is_text(client, here, user):
    """F15"""
    hostile = {"device_info": SCRIPT, "location": SCRIPT, "user_agent": SCRIPT}
    UserSessionFactory(user=user, **hostile)
    UserSession.objects.filter(pk=UserSessionFactory(user=user, **hostile).pk).revoke(SCRIPT)
    page = client.get(LIST).content.decode()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 5


def test_the_list_stands_in_a_page_of_the_projects_own(client, here, there):
    page = client.get("/embedded/")
    assert "Safari on iPhone" in text(page)
    assert page.content.decode().count('name="next" value="/embedded/"') == 5
    assert "csrfmiddlewaretoken" in page.content.decode()
    response = client.post(sign_out(there), {"next": "/embedded/"})
    assert response.url == "/embedded/"


def test_the_list_of_nobody_is_empty(client, there):
    assert "Safari" not in text(client.get("/embedded/"))


def test_a_view_of_the_projects_own_has_the_sessions(user, there):
    class Devices(SessionsMixin, View):
        def get(self, request):
            return HttpResponse(", ".join(session.device_info for session in self.active_sessions))

    request = RequestFactory().get("/")
    request.user = user
    assert Devices.as_view()(request).content == b"Safari on iPhone"


def test_no_button_leads_to_another_site(client, here, there):
    response = client.post(sign_out(there), {"next": "https://elsewhere.example/"})
    assert response.url == LIST


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (-5, "just now"), (59, "just now"), (180, "3 minutes ago"), (7300, "2 hours ago")],
)
def test_how_long_ago(seconds, words, later):
    assert ago(timezone.now() - timedelta(seconds=seconds)).replace("\xa0", " ") == words


@pytest.mark.parametrize(
    ("device", "kind"),
    [
        ("Chrome on macOS", "desktop"),
        ("Firefox on Ubuntu", "desktop"),
        ("Chrome on Chrome OS", "desktop"),
        ("Safari on iPhone", "phone"),
        ("Samsung Internet on Android", "phone"),
        ("Safari on iPad", "tablet"),
        ("Chrome on LG TV", "tv"),
        ("Chrome on Android TV", "tv"),
        ("Safari on PlayStation 5", "tv"),
        ("curl", "other"),
        ("", "other"),
    ],
)
def test_a_device_has_an_icon(device, kind):
    assert device_kind(UserSession(device_info=device)) == kind


@pytest.mark.parametrize("agent", [agent for agent, _ in USER_AGENTS if "<" in agent or not agent.isascii()])
def test_an_odd_user_agent_breaks_no_page(user, agent):
    client = Client(headers={"user-agent": agent})
    client.post("/login/", {"username": user.get_username(), "password": "password"})
    assert "<script" not in client.get(LIST).content.decode()


# Sign out


def test_signing_out_one_leaves_the_others(client, here, there, user):
    bystander = UserSessionFactory(user=user)
    response = client.post(sign_out(there), follow=True)
    assert "That device is signed out." in text(response)
    assert reason_of(there) == "user"
    assert here.is_active
    assert reason_of(bystander) == reason_of(here) == ""


def test_signing_out_here_is_a_logout(client, stale, there):
    response = client.post(sign_out(stale))
    assert response.url == "/login/"
    assert reason_of(stale) == "logout"
    assert reason_of(there) == ""
    assert client.get("/who/").content == b"nobody"


def test_signing_out_everywhere_else(client, here, there, user):
    older = UserSessionFactory(user=user)
    stranger = UserSessionFactory()
    page = text(client.post(OTHERS, follow=True))
    assert "2 other sessions are signed out." in page
    assert [reason_of(each) for each in (here, there, older, stranger)] == ["", "user", "user", ""]


def test_one_that_has_ended_stays_as_it_is_and_needs_no_password(client, stale, there):
    UserSession.objects.filter(pk=there.pk).revoke("admin")
    response = client.post(sign_out(there), follow=True)
    assert "had ended already" in text(response)
    assert reason_of(there) == "admin"


@pytest.mark.parametrize("path", [sign_out, trust])
@pytest.mark.parametrize("whose", ["a stranger", "nobody"])
def test_a_foreign_id_is_as_unknown_as_one_that_never_was(client, stale, path, whose):
    """F14"""
    theirs = UserSessionFactory() if whose == "a stranger" else UserSession(pk=UUID(int=7))
    response = client.post(path(theirs), {"password": "password"})
    assert response.status_code == 404
    if whose == "a stranger":
        assert reason_of(theirs) == ""
        assert not theirs.is_trusted


@pytest.mark.parametrize("path", [sign_out, trust, lambda session: OTHERS])
def test_a_get_changes_nothing(client, here, there, path):
    assert client.get(path(there)).url == LIST
    assert reason_of(there) == ""
    assert not there.is_trusted


@pytest.mark.parametrize("middleware", [["django.middleware.csrf.CsrfViewMiddleware"], []])
@pytest.mark.parametrize("path", [sign_out, trust, lambda session: OTHERS])
def test_a_form_without_its_csrf_token_changes_nothing(user, there, settings, path, middleware):
    """F23, and in a project that has not the middleware too."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *middleware]
    client = Client(enforce_csrf_checks=True)
    log_in(client, user)
    assert client.post(path(there)).status_code == 403
    assert reason_of(there) == ""
    assert not there.is_trusted
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(LIST).content.decode())[1]
    assert client.post(path(there), {"csrfmiddlewaretoken": token}).status_code == 302
    assert reason_of(there) or there.is_trusted


@pytest.mark.parametrize("path", [sign_out, trust, lambda session: OTHERS])
def test_nobody_changes_nothing(client, there, path):
    assert client.post(path(there)).url.startswith("/login/")
    assert reason_of(there) == ""


def test_an_app_that_has_no_messages_still_signs_out(client, here, there, settings):
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "messages" not in each]
    assert client.post(sign_out(there)).url == LIST
    assert reason_of(there) == "user"


# Trust


def test_a_device_is_trusted_and_not_any_more(client, here, there):
    assert "Trusted" in text(client.post(trust(there), follow=True))
    there.refresh_from_db()
    here.refresh_from_db()
    assert (there.is_trusted, here.is_trusted) == (True, False)
    assert "not trusted any more" in text(client.post(trust(there), {"trust": "no"}, follow=True))
    there.refresh_from_db()
    assert not there.is_trusted


def test_an_ended_session_is_not_trusted(client, here, there):
    UserSession.objects.filter(pk=there.pk).revoke("admin")
    assert client.post(trust(there)).status_code == 404


# The password, again


@pytest.mark.parametrize("path", [sign_out, lambda session: OTHERS])
def test_after_a_while_the_password_is_asked_for_again(client, stale, there, path):
    page = client.post(path(there), {"next": "/embedded/"})
    assert "Confirm that it is you" in text(page)
    assert reason_of(there) == ""
    page = client.post(path(there), {"password": "wrong", "next": "/embedded/"})
    assert "That is not your password." in text(page)
    assert "wrong" not in page.content.decode()
    assert reason_of(there) == ""
    key = client.session.session_key
    response = client.post(path(there), {"password": "password", "next": "/embedded/"})
    assert response.url == "/embedded/"
    assert reason_of(there) == "user"
    assert client.session.session_key != key
    assert client.get("/row/").content.decode() == str(stale.pk)


def test_once_given_it_is_good_for_a_while(client, stale, there, user, later):
    client.post(sign_out(there), {"password": "password"})
    another = UserSessionFactory(user=user)
    later(14 * 60)
    client.post(sign_out(another))
    assert reason_of(another) == "user"
    last = UserSessionFactory(user=user)
    later(120)
    client.post(sign_out(last))
    assert reason_of(last) == ""


def test_an_empty_password_is_none(client, stale, there):
    assert "This field is required." in text(client.post(sign_out(there), {"password": ""}))
    assert reason_of(there) == ""


def test_the_password_of_somebody_else_is_none(client, stale, there):
    other = UserFactory(password="theirs")
    client.post(sign_out(there), {"password": "theirs", "username": other.get_username()})
    assert reason_of(there) == ""


def test_a_backend_that_answers_with_another_user_is_refused(client, stale, there, settings):
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, f"{__name__}.SomebodyElse"]
    client.post(sign_out(there), {"password": "anything"})
    assert reason_of(there) == ""


class SomebodyElse:
    def authenticate(self, request, username=None, password=None):
        return UserFactory()


class OlderHasher(PBKDF2PasswordHasher):
    """Whose hashes Django renews when it sees the password."""

    algorithm = "older"
    iterations = 1


def test_a_password_whose_hash_is_renewed_keeps_this_browser_signed_in(client, user, there, settings):
    settings.PASSWORD_HASHERS = [*settings.PASSWORD_HASHERS, f"{__name__}.OlderHasher"]
    get_user_model().objects.filter(pk=user.pk).update(password=make_password("password", hasher="older"))
    user.refresh_from_db()
    here = log_in(client, user)
    data = client.session
    data[AUTHENTICATED_KEY] = 1
    data.save()
    client.post(sign_out(there), {"password": "password"})
    user.refresh_from_db()
    assert not user.password.startswith("older")
    assert client.get("/row/").content.decode() == str(here.pk)
    assert reason_of(there)


def test_without_a_time_in_the_data_the_sign_in_counts(client, user, there):
    here = log_in(client, user)
    for age, expected in ((timedelta(minutes=16), ""), (timedelta(minutes=14), "user")):
        data = client.session
        data.pop(AUTHENTICATED_KEY, None)
        data.save()
        UserSession.objects.filter(pk=here.pk).update(created_at=timezone.now() - age)
        client.post(sign_out(there))
        assert reason_of(there) == expected


def test_a_session_from_before_the_installation_is_not_authenticated_just_now(client, here, there):
    """Its row is new, but nobody knows when its person gave the password."""
    data = client.session
    del data[ID_KEY], data[AUTHENTICATED_KEY]
    data.save()
    UserSession.objects.filter(pk=here.pk).delete()
    assert "Confirm that it is you" in text(client.post(sign_out(there)))
    assert reason_of(there) == ""
    client.post(sign_out(there), {"password": "password"})
    assert reason_of(there) == "user"


def test_logging_in_again_counts_too(client, stale, there, user):
    client.post("/login/", {"username": user.get_username(), "password": "password"})
    assert client.session[ID_KEY] == str(stale.pk)
    client.post(sign_out(there))
    assert reason_of(there) == "user"


@pytest.mark.parametrize(("after", "asks"), [(None, False), (0, True), (timedelta(hours=1), False)])
def test_how_long_it_is_good_is_a_setting(client, stale, there, settings, after, asks):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_AFTER": after}
    client.post(sign_out(there))
    assert (reason_of(there) == "") == asks


@pytest.fixture
def without_password(user, stale):
    get_user_model().objects.filter(pk=user.pk).update(password=make_password(None))
    user.refresh_from_db()
    return user


def signed_in_by_another_site(client, user):
    session = log_in(client, user)
    data = client.session
    data[AUTHENTICATED_KEY] = 1
    data.save()
    return session


def test_somebody_without_a_password_is_not_asked_for_one(client, without_password, there):
    signed_in_by_another_site(client, without_password)
    client.post(sign_out(there))
    assert reason_of(there) == "user"


def test_somebody_without_a_password_goes_where_the_project_says(client, without_password, there, settings):
    signed_in_by_another_site(client, without_password)
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "/sso/again/"}
    assert client.post(sign_out(there)).url == "/sso/again/?next=%2Fdevices%2F"
    assert reason_of(there) == ""
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "password_reset"}
    assert client.post(OTHERS).url == "/reset/?next=%2Fdevices%2F"
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "/sso/again/?prompt=login"}
    assert client.post(OTHERS).url == "/sso/again/?prompt=login&next=%2Fdevices%2F"


def test_a_login_without_a_row_is_asked_and_ends_them_all(user, there, settings):
    """As of a project that silenced the check for the middleware."""
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "sessions_ext" not in each]
    client = Client()
    client.force_login(user)
    assert "Safari on iPhone" in text(client.get(LIST))
    assert "Confirm that it is you" in text(client.post(OTHERS))
    client.post(OTHERS, {"password": "password"})
    assert reason_of(there) == "user"


def test_without_time_zones_it_is_the_same(client, user, settings, there):
    with override_settings(USE_TZ=False):
        here = log_in(client, user)
        data = client.session
        del data[AUTHENTICATED_KEY]
        data.save()
        other = UserSession.objects.start(user)
        client.post(sign_out(other))
        other.refresh_from_db()
        assert other.revoked_reason == "user"
        assert client.get("/row/").content.decode() == str(here.pk)


# What a project may change


def test_the_page_follows_the_language(client, here):
    with translation.override("de"):
        assert 'lang="de"' in client.get(LIST).content.decode()


def test_the_names_of_the_urls():
    pk = UUID(int=1)
    assert reverse("sessions_ext:list") == LIST
    assert reverse("sessions_ext:revoke_others") == OTHERS
    assert reverse("sessions_ext:revoke", args=[pk]) == f"{LIST}{pk}/sign-out/"
    assert reverse("sessions_ext:trust", args=[pk]) == f"{LIST}{pk}/trust/"
    assert reverse("sessions_ext:not_me", args=["a:b"]) == f"{LIST}not-me/a:b/"


def test_a_note_stands_behind_words_for_the_person():
    session = UserSession(is_revoked=True, revoked_reason="admin: stolen laptop")
    assert why_ended(session) == "Ended by an administrator: stolen laptop"
    session.revoked_reason = "moved: to another office"
    assert why_ended(session) == "moved: to another office"


def test_a_visit_that_names_itself_as_next_ends_at_the_list(client, user):
    log_in(client, user)
    path = reverse("sessions_ext:revoke_others")
    assert client.get(path, {"next": path}).url == reverse("sessions_ext:list")
