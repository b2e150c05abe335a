"""Browsers that sign in from here and there, and the e-mails that follow."""

import re

from django.test import Client

from sessions_ext.models import UserSession
from tests.threads import wait_for

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.1 Mobile/15E148 Safari/604.1"
)
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
HOME, NEXT_DOOR, AWAY = "203.0.113.7", "203.0.113.99", "198.51.100.7"
HOME6, NEXT6 = "2001:db8:0:1::7", "2001:db8:0:1:aaaa::1"


def sign_in(user, *, agent=LINUX, address=HOME):
    """From a browser without cookies; waits for the e-mail to be sent."""
    client = Client(headers={"user-agent": agent}, REMOTE_ADDR=address)
    response = client.post("/login/", {"username": user.get_username(), "password": "password"})
    assert response.content.decode() == user.get_username()
    wait()
    return UserSession.objects.for_user(user).newest_first().first()


def wait():
    wait_for("sessions_ext.new_device")


def link_of(message):
    return re.search(r"http://testserver(/devices/not-me/\S+/)", message.body)[1]


def reason_of(session):
    session.refresh_from_db()
    return session.revoked_reason
