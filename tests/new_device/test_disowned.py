""" "This wasn't me" counts whenever it comes: of a session that has ended, too."""

import pytest
from asgiref.sync import async_to_sync
from django.core import mail
from django.test import Client
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests.new_device.signing_in import AWAY, HOME, IPHONE, LINUX, link_of, sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.user_model]

OURS = {"agent": LINUX, "address": HOME}
THEIRS = {"agent": IPHONE, "address": AWAY}


def signs_out(user, thief):
    thief.revoke("logout")


def changes_password(user, thief):
    user.set_password("password")
    user.save()


def expires(user, thief):
    UserSession.objects.filter(pk=thief.pk).update(expires_at=timezone.now())


def nothing(user, thief):
    pass


@pytest.mark.parametrize(
    ("first", "said", "reason"),
    [
        (signs_out, "Thank you for telling us", "logout"),
        (changes_password, "Thank you for telling us", "password_change"),
        (expires, "Thank you for telling us", ""),
        (nothing, "That device has been signed out", "not_me"),
    ],
)
def test_a_thief_is_told_of_again_whatever_came_first(user, first, said, reason):
    sign_in(user, **OURS)
    thief = sign_in(user, **THEIRS)
    path = link_of(mail.outbox.pop())
    first(user, thief)
    page = Client().get(path).content.decode()
    assert ("already ended" in page) == (first is not nothing)
    assert "<form" in page
    assert said in Client().post(path).content.decode()
    thief.refresh_from_db()
    assert (thief.revoked_reason, thief.is_active) == (reason, False)
    assert thief.disowned_at is not None
    for count in (1, 2):
        sign_in(user, **THEIRS)
        assert len(mail.outbox) == count
    sign_in(user, **OURS)
    assert len(mail.outbox) == 2


def test_it_counts_once_and_the_first_time_stands(user, later):
    session = UserSessionFactory(user=user)
    assert session.disown()
    first = session.disowned_at
    later(60)
    again = UserSession.objects.get(pk=session.pk)
    assert not again.disown()
    assert UserSession.objects.get(pk=session.pk).disowned_at == first == again.disowned_at
    later(60)
    stale = UserSession.objects.get(pk=session.pk)
    stale.disowned_at = None
    assert not stale.disown()
    assert UserSession.objects.get(pk=session.pk).disowned_at == first


def test_it_can_be_said_in_async_code(user):
    session = UserSessionFactory(user=user)
    assert async_to_sync(session.adisown)()
    assert UserSession.objects.get(pk=session.pk).revoked_reason == "not_me"


def test_a_second_sign_in_of_the_thief_vouches_for_nothing(user):
    """It raised no mail, since the first one was not disowned yet."""
    sign_in(user, **OURS)
    sign_in(user, **THEIRS)
    path = link_of(mail.outbox[0])
    sign_in(user, **THEIRS)
    assert len(mail.outbox) == 1
    Client().post(path)
    sign_in(user, **THEIRS)
    assert len(mail.outbox) == 2


def test_a_second_sign_in_from_where_the_thief_went_next_vouches_for_nothing(user):
    sign_in(user, **OURS)
    thief = sign_in(user, **THEIRS)
    path = link_of(mail.outbox[0])
    UserSession.objects.filter(pk=thief.pk).update(last_ip_address="192.0.2.77")
    sign_in(user, agent=IPHONE, address="192.0.2.77")
    Client().post(path)
    sign_in(user, agent=IPHONE, address="192.0.2.78")
    assert len(mail.outbox) == 2


def test_ones_own_device_from_before_the_thief_stays_known(user):
    """Somebody in the same network, with a browser of the same family."""
    sign_in(user, **OURS)
    other = sign_in(user, **OURS)
    other.disown()
    sign_in(user, **OURS)
    assert mail.outbox == []


def test_a_thief_is_a_stranger_when_cleanup_has_deleted_the_row(user):
    sign_in(user, **OURS)
    thief = sign_in(user, **THEIRS)
    thief.disown()
    UserSession.objects.filter(pk=thief.pk).delete()
    sign_in(user, **THEIRS)
    assert len(mail.outbox) == 2


def test_the_person_and_the_staff_see_what_was_said(user, admin_client):
    thief = UserSessionFactory(user=user)
    thief.revoke("logout")
    thief.disown()
    browser = Client()
    browser.force_login(user)
    assert "You said it wasn" in browser.get("/devices/").content.decode()
    page = admin_client.get(f"/admin/sessions_ext/usersession/{thief.pk}/change/").content.decode()
    assert "Not recognised by the user" in page
