"""Which earlier sessions make a device familiar in a network, and which say nothing or the opposite."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from sessions_ext import tokens
from sessions_ext.models import UserSession
from sessions_ext.new_device import is_new_device
from sessions_ext.testing import UserSessionFactory
from tests.new_device.signing_in import AWAY, HOME, LINUX, sign_in, wait

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
OFFICE = "192.0.2.10"
KNOWN = {"device_info": "Firefox on Linux", "user_agent": LINUX}


def used(user, *, began, moved, ended=None, **fields):
    """A session that signed in at the office `began` days ago, and was used at home from `moved` days ago
    until now."""
    now = timezone.now()
    row = UserSessionFactory(
        user=user,
        ip_address=OFFICE,
        last_ip_address=HOME,
        created_at=now - began * DAY,
        last_ip_since=now - moved * DAY,
        last_activity_at=now,
        **{"expires_at": now + 5 * DAY, **KNOWN, **fields},
    )
    if ended:
        row.revoke(ended)
    return row


@pytest.mark.parametrize(
    ("ended", "moved", "told"),
    [
        # It lived there for weeks, and nothing speaks against it.
        ("logout", 21, 0),
        ("user", 21, 0),
        ("limit", 21, 0),
        ("password_change", 21, 0),
        (None, 21, 0),
        # Somebody has used its cookie there for some hours, and then it ended.
        ("logout", 0.2, 1),
        ("user", 0.2, 1),
        ("limit", 0.2, 1),
        ("password_change", 6.9, 1),
        ("password_change", 7.1, 0),
        # Whoever ended it had something against it.
        ("admin", 21, 1),
        ("admin: stolen laptop", 21, 1),
        ("stolen laptop", 21, 1),
        ("user_disabled", 21, 1),
        ("not_me", 21, 1),
        ("suspicious", 21, 1),
        ("refresh_reuse", 21, 1),
        # Still active: nobody has said anything.
        (None, 0.2, 0),
    ],
)
def test_where_a_session_was_used_counts_while_nothing_speaks_against_it(user, ended, moved, told):
    used(user, began=28, moved=moved, ended=ended)
    sign_in(user, address=HOME)
    assert len(mail.outbox) == told


@pytest.mark.parametrize(("fields", "told"), [({}, 0), ({"disowned_at": timezone.now()}, 1)])
def test_a_session_that_expired_vouches_for_where_it_was_used(user, fields, told):
    used(user, began=28, moved=21, expires_at=timezone.now() - timedelta(seconds=1), **fields)
    sign_in(user, address=HOME)
    assert len(mail.outbox) == told


@pytest.mark.parametrize(("days", "told"), [(3, 1), (10, 0)])
@pytest.mark.parametrize("end", ["logout", "password_change"])
def test_a_laptop_is_known_at_home_after_some_time_there(user, later, end, days, told):
    """It signs in at the office, is taken home and back once, and is used at home from then on."""
    laptop = Client(headers={"user-agent": LINUX}, REMOTE_ADDR=OFFICE)
    laptop.post("/login/", {"username": user.get_username(), "password": "password"})
    for address in [HOME, OFFICE] + [HOME] * (days + 1):
        later(86400)
        laptop.get("/who/", REMOTE_ADDR=address)
    if end == "logout":
        laptop.get("/logout/", REMOTE_ADDR=HOME)
    else:
        user.set_password("password")
        user.save()
    sign_in(user, address=HOME)
    assert len(mail.outbox) == told
    sign_in(user, address=OFFICE)
    assert len(mail.outbox) == told


@pytest.mark.parametrize("end", ["logout", "owner", "password"])
def test_a_thief_who_used_a_stolen_cookie_stays_a_stranger(user, later, end):
    """For some days, while the owner used it, too, and whoever ended the session."""
    laptop = Client(headers={"user-agent": LINUX}, REMOTE_ADDR=HOME)
    laptop.post("/login/", {"username": user.get_username(), "password": "password"})
    for address in [HOME] * 5 + [AWAY, HOME, AWAY, AWAY, AWAY]:
        later(86400)
        assert laptop.get("/who/", REMOTE_ADDR=address).content.decode() == user.get_username()
    if end == "logout":
        laptop.get("/logout/", REMOTE_ADDR=AWAY)
    elif end == "owner":
        UserSession.objects.for_user(user).revoke("user")
    else:
        user.set_password("password")
        user.save()
    sign_in(user, address=AWAY)
    assert len(mail.outbox) == 1
    sign_in(user, address=HOME)
    assert len(mail.outbox) == 1


def test_another_address_of_the_same_network_is_no_move(user, later):
    laptop = Client(headers={"user-agent": LINUX}, REMOTE_ADDR=HOME)
    laptop.post("/login/", {"username": user.get_username(), "password": "password"})
    for number in range(3):
        later(86400)
        laptop.get("/who/", REMOTE_ADDR=f"198.51.100.{number}")
    session = UserSession.objects.for_user(user).get()
    assert session.last_ip_address == "198.51.100.2"
    assert session.last_ip_since == session.last_activity_at - 2 * DAY


def test_a_projects_own_touch_tells_moves_too(user, later):
    session = UserSessionFactory(user=user, ip_address=OFFICE)
    for address in (HOME, HOME, None, AWAY):
        later(86400)
        UserSession.objects.filter(pk=session.pk).touch(address)
        before, session = session, UserSession.objects.get(pk=session.pk)
        is_move = before.last_ip_address != session.last_ip_address
        assert (session.last_ip_since == session.last_activity_at) == is_move


# The account, not the rows that are left of it


def by_cookie(user):
    sign_in(user)


def by_token(user):
    request = Client(headers={"user-agent": LINUX}, REMOTE_ADDR=HOME).request().wsgi_request
    tokens.login(request, user, "django.contrib.auth.backends.ModelBackend")
    wait()


def by_api(user):
    body = {"username": user.get_username(), "password": "password"}
    client = Client(headers={"user-agent": LINUX}, REMOTE_ADDR=HOME)
    assert client.post("/api/sessions", body, content_type="application/json").status_code == 201
    wait()


@pytest.mark.parametrize("way", [by_cookie, by_token, by_api])
def test_a_dormant_account_is_told_of_a_stranger(user, way):
    """Though cleanup has deleted all rows of its own devices."""
    user.last_login = timezone.now() - 300 * DAY
    user.save()
    way(user)
    assert len(mail.outbox) == 1
    way(user)
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("way", [by_cookie, by_token, by_api])
def test_an_account_that_was_never_used_is_told_of_nothing(user, way):
    """Though it was made long ago."""
    user.date_joined = timezone.now() - 300 * DAY
    user.save()
    way(user)
    assert mail.outbox == []


def test_an_account_whose_rows_were_deleted_just_now_is_told(user):
    sign_in(user)
    UserSession.objects.for_user(user).delete()
    sign_in(user)
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(("days", "told"), [(300, 1), (0, 0)])
def test_a_user_model_without_the_last_login_has_the_day_of_its_making(user, monkeypatch, days, told):
    fields = [field for field in user._meta.get_fields() if field.name != "last_login"]
    monkeypatch.setattr(user._meta, "get_fields", lambda: fields)
    session = UserSessionFactory(user=user)
    user.date_joined = timezone.now() - days * DAY
    assert is_new_device(session) == told
