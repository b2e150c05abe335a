"""When the e-mail about a sign-in from a new device is sent, and what it says."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AbstractUser
from django.core import mail
from django.test import Client
from django.utils import timezone, translation
from django.utils.html import escape

from sessions_ext.mail import send_mail_about
from sessions_ext.models import UserSession
from sessions_ext.new_device import is_new_device
from sessions_ext.testing import UserSessionFactory
from tests.new_device.signing_in import (
    AWAY,
    HOME,
    HOME6,
    IPHONE,
    LINUX,
    NEXT6,
    NEXT_DOOR,
    link_of,
    sign_in,
    wait,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_very_first_session_is_no_news(user):
    sign_in(user)
    assert mail.outbox == []


@pytest.mark.parametrize(("first", "second"), [(HOME, HOME), (HOME, NEXT_DOOR), (HOME6, NEXT6)])
def test_the_same_device_again_is_no_news(user, first, second):
    sign_in(user, address=first)
    sign_in(user, address=second)
    assert mail.outbox == []


@pytest.mark.parametrize(
    "news", [{"agent": IPHONE}, {"address": AWAY}, {"address": HOME6}, {"agent": "something unknown"}]
)
def test_a_new_device_or_network_is_told_of_once(user, news):
    sign_in(user)
    sign_in(user, **news)
    (message,) = mail.outbox
    assert message.to == [user.email]
    sign_in(user, **news)
    assert len(mail.outbox) == 1


def test_the_mail_says_what_happened(user):
    sign_in(user)
    session = sign_in(user, agent=IPHONE, address=AWAY)
    UserSession.objects.filter(pk=session.pk).update(location="New York, US")
    (message,) = mail.outbox
    html, kind = message.alternatives[0]
    assert kind == "text/html"
    assert message.subject == "New sign-in from Safari on iPhone"
    for body in (message.body, html):
        assert "Safari on iPhone" in body
        assert AWAY in body
        assert f"{timezone.localtime(session.created_at):%Y}" in body
        assert link_of(message) in body


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Ada", "Hello Ada,"),
        ("Anne-Marie Núñez", "Hello Anne-Marie Núñez,"),
        ("美咲", "Hello 美咲,"),
        ("", "Hello,"),
        ("evil.com", "Hello evilcom,"),
        ("8f14e45fceea167a", "Hello,"),
        ("ada@example.com", "Hello,"),
        ("username", "Hello,"),
        ("local part", "Hello,"),
        ("primary key", "Hello,"),
    ],
)
def test_it_greets_by_a_name_or_by_none(user, monkeypatch, name, greeting):
    """Never by what identifies an account: that may be random, and says nothing to its owner."""
    special = {"username": user.get_username(), "local part": "ada", "primary key": str(user.pk)}
    user.email = "ada@example.com"
    monkeypatch.setattr(type(user), "get_short_name", lambda self: special.get(name, name))
    user.save()
    sign_in(user)
    sign_in(user, agent=IPHONE)
    (message,) = mail.outbox
    assert message.body.splitlines()[0] == greeting
    assert f"<p>{escape(greeting)}</p>" in message.alternatives[0][0]


def test_a_user_model_without_short_names_is_greeted_by_none(user, monkeypatch):
    monkeypatch.delattr(AbstractUser, "get_short_name")
    sign_in(user)
    sign_in(user, agent=IPHONE)
    assert mail.outbox[0].body.splitlines()[0] == "Hello,"


def test_it_is_off_by_default(user, settings):
    settings.SESSIONS_EXT = {}
    sign_in(user)
    sign_in(user, agent=IPHONE)
    assert mail.outbox == []


@pytest.mark.parametrize(("days", "told"), [(89, 0), (91, 1)])
def test_a_device_is_remembered_for_90_days(user, days, told):
    UserSessionFactory(user=user, created_at=timezone.now() - timedelta(days=days), ip_address=HOME, **KNOWN)
    sign_in(user)
    assert len(mail.outbox) == told


KNOWN = {"device_info": "Firefox on Linux", "user_agent": LINUX}
OTHER = {"device_info": "curl", "user_agent": "curl/8.14.1"}


@pytest.mark.parametrize(("fields", "told"), [({}, 0), ({"is_trusted": False}, 1), ({"revoked": True}, 1)])
def test_a_trusted_device_is_known_as_long_as_its_session_lasts(user, fields, told):
    """Though it was not seen for longer than 90 days."""
    fields = {"is_trusted": True, **KNOWN, **fields}
    long_ago = timezone.now() - timedelta(days=200)
    soon = timezone.now() + timedelta(days=1)
    UserSessionFactory(user=user, created_at=long_ago, expires_at=soon, ip_address=HOME, **fields)
    sign_in(user)
    assert len(mail.outbox) == told


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("user", 0),
        ("not_me", 1),
        ("not_me: said on the phone", 1),
        ("suspicious", 1),
        ("suspicious: impossible travel", 1),
        ("refresh_reuse: by hand", 1),
    ],
)
def test_an_intruder_is_no_acquaintance(user, reason, told):
    """One whose session was ended as such is told of again."""
    UserSessionFactory(user=user, **OTHER)
    session = UserSessionFactory(user=user, ip_address=HOME, **KNOWN)
    UserSession.objects.filter(pk=session.pk).revoke(reason)
    sign_in(user)
    assert len(mail.outbox) == told


@pytest.mark.parametrize(("fields", "told"), [({"revoked": True}, 1), ({}, 0)])
def test_a_session_that_was_revoked_vouches_only_for_where_it_signed_in(user, fields, told):
    """Whoever used its cookie last may have been the reason to revoke it."""
    UserSessionFactory(user=user, ip_address=AWAY, last_ip_address=HOME, **KNOWN, **fields)
    sign_in(user)
    assert len(mail.outbox) == told
    sign_in(user, address=AWAY)
    assert len(mail.outbox) == told


def test_of_two_at_once_from_a_new_device_one_is_told_of(user):
    now = timezone.now()
    UserSessionFactory(user=user, created_at=now - timedelta(days=1), **OTHER)
    pair = [UserSessionFactory(user=user, created_at=now, ip_address=HOME, **KNOWN) for _ in range(2)]
    assert sorted(is_new_device(session) for session in pair) == [False, True]


def test_the_devices_of_others_are_not_ones_own(user):
    UserSessionFactory(ip_address=HOME, **KNOWN)
    UserSessionFactory(user=user, **OTHER)
    sign_in(user)
    assert len(mail.outbox) == 1


def test_a_login_from_before_the_installation_is_no_sign_in(user, client):
    UserSessionFactory(user=user, **OTHER)
    client.force_login(user)
    wait()
    mail.outbox.clear()
    session = client.session
    UserSession.objects.filter(pk=session.pop("_sessions_ext")).delete()
    session.save()
    assert client.get("/who/").content.decode() == user.get_username()
    wait()
    assert UserSession.objects.for_user(user).count() == 2
    assert mail.outbox == []


@pytest.mark.parametrize("stored", ["", "Gecko on GNU"])
def test_a_device_is_no_news_because_its_name_changed(user, stored):
    """Its row was written when a rule, or the data of ua-parser, called the browser another name."""
    session = sign_in(user)
    UserSession.objects.filter(pk=session.pk).update(device_info=stored)
    sign_in(user)
    assert mail.outbox == []


def test_a_device_is_news_though_it_had_the_name_of_another(user):
    session = sign_in(user)
    UserSession.objects.filter(pk=session.pk).update(device_info="Safari on iPhone")
    sign_in(user, agent=IPHONE)
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("there", ["", "unix:", HOME])
@pytest.mark.parametrize("here", ["", "unix:", HOME])
def test_an_unknown_address_vouches_for_nobody(user, here, there):
    """F31: behind a Unix socket, a thief with the same browser is told of."""
    sign_in(user, address=there)
    sign_in(user, address=here)
    assert len(mail.outbox) == (0 if here == there == HOME else 1)


def test_a_row_without_a_last_address_vouches_for_where_it_signed_in(user):
    UserSessionFactory(user=user, ip_address=HOME, last_ip_address=None, **KNOWN)
    sign_in(user)
    assert mail.outbox == []
    sign_in(user, address="")
    assert len(mail.outbox) == 1


def test_behind_a_unix_socket_a_listed_proxy_tells_who_it_was(user, settings):
    settings.SESSIONS_EXT = {"NEW_DEVICE_EMAIL": True, "TRUSTED_PROXIES": ["10.0.0.1"]}
    for address, told in [(HOME, 0), (NEXT_DOOR, 0), (AWAY, 1)]:
        client = Client(headers={"user-agent": LINUX, "x-forwarded-for": address}, REMOTE_ADDR="")
        client.post("/login/", {"username": user.get_username(), "password": "password"})
        wait()
        assert len(mail.outbox) == told
        assert UserSession.objects.for_user(user).newest_first()[0].ip_address == address


def test_many_logins_of_a_program_do_not_push_a_device_out(user, django_assert_num_queries):
    now = timezone.now()
    UserSessionFactory(user=user, created_at=now - timedelta(days=2), ip_address=HOME, **KNOWN)
    program = UserSessionFactory.build_batch(
        400, user=user, created_at=now - timedelta(days=1), ip_address=AWAY, **OTHER
    )
    UserSession.objects.bulk_create(program)
    session = sign_in(user)
    assert mail.outbox == []
    with django_assert_num_queries(1):
        assert not is_new_device(session)


def test_a_device_is_forgotten_behind_300_others_that_were_seen_since(user):
    """A program whose user agent is another each time must not make sign-ins slow."""
    now = timezone.now()
    UserSessionFactory(user=user, created_at=now - timedelta(days=2), ip_address=HOME, **KNOWN)
    each = [
        UserSessionFactory.build(
            user=user, created_at=now - timedelta(days=1), ip_address=HOME, user_agent=f"tool-{number}/1"
        )
        for number in range(300)
    ]
    UserSession.objects.bulk_create(each)
    sign_in(user)
    assert len(mail.outbox) == 1


def test_a_user_without_an_address_gets_none(user):
    user.email = ""
    user.save()
    sign_in(user)
    sign_in(user, agent=IPHONE)
    assert mail.outbox == []


def test_it_costs_at_most_two_queries(user, django_assert_num_queries):
    sign_in(user)
    known, new = sign_in(user), sign_in(user, agent=IPHONE)
    with django_assert_num_queries(1):
        assert not is_new_device(known)
    with django_assert_num_queries(2):
        assert is_new_device(new)


def test_it_is_written_in_the_language_of_the_request(user, settings, tmp_path):
    folder = tmp_path / "sessions_ext"
    folder.mkdir()
    (folder / "new_device_subject.txt").write_text(
        "{% load i18n %}{% get_current_language as code %}{{ code }}\n{{ user.pk }}"
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    sign_in(user)
    session = sign_in(user, agent=IPHONE)
    mail.outbox.clear()
    with translation.override("de"):
        send_mail_about(session, None)
    wait()
    assert mail.outbox[0].subject == f"de {user.pk}"


def test_a_script_in_a_user_agent_is_text(user):
    """F15, and no header can be slipped into the mail."""
    sign_in(user)
    hostile = "<script>alert(1)</script>\nBcc: x@example.com"
    session = UserSessionFactory(user=user, device_info=hostile, location="<b>", ip_address=AWAY)
    send_mail_about(session, None)
    wait()
    (message,) = mail.outbox
    html = message.alternatives[0][0]
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\n" not in message.subject
    assert message.recipients() == [user.email]


@pytest.mark.parametrize("agent", ["secure-login.example.net/1.0", "evil.com/1.0 (Android 15; Pixel 9)"])
def test_a_host_in_a_user_agent_is_not_in_the_mail(user, agent):
    """Or else whoever stole a password could have its owner click on a link."""
    sign_in(user)
    sign_in(user, agent=agent)
    (message,) = mail.outbox
    for text in (message.subject, message.body, message.alternatives[0][0]):
        assert "secure-login" not in text
        assert "evil.com" not in text
