"""The pages of "Your devices", and what is read off them."""

import re

LIST = "/devices/"
OTHERS = "/devices/sign-out-others/"


def sign_out(session):
    return f"/devices/{session.pk}/sign-out/"


def trust(session):
    return f"/devices/{session.pk}/trust/"


def reason_of(session):
    session.refresh_from_db()
    return session.revoked_reason


def text(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))
