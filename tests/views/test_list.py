"""The page "Your devices": what its list shows."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.templatetags.sessions_ext import ago, device_kind, why_ended
from sessions_ext.testing import UserSessionFactory
from sessions_ext.views import SessionsMixin
from tests.user_agents import USER_AGENTS
from tests.views.pages import LIST, sign_out, text

pytestmark = pytest.mark.django_db


SCRIPT = "<script>alert(1)</script>"


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
    assert "last seen from 198.51.100.66" in page
    assert page.count("last seen from") == 1


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
    with django_assert_num_queries(1) as own:
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
        ("Huawei Browser on HarmonyOS", "phone"),
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
