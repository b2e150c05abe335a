"""Logins that give tokens, and what those hold."""

import hashlib

import jwt
from django.test import RequestFactory

from sessions_ext import tokens
from sessions_ext.models import UserSession

CLAIMS = {"sub", "sid", "jti", "iat", "exp", "type", "auth", "stamp"}


def a_request(**meta):
    return RequestFactory().post("/api/sessions", **meta)


def sign_in(user, backend=None, request=None):
    return tokens.login(request or a_request(), user, backend)


def key_of(secret):
    """What tokens are signed with: a change of this signs everyone out."""
    return hashlib.sha256(b"sessions_ext.tokens" + secret.encode()).digest()


def is_signed_by(secret, token):
    try:
        jwt.decode(token, key_of(secret), algorithms=["HS256"])
    except jwt.InvalidSignatureError:
        return False
    return True


def row_of(pair):
    return UserSession.objects.get(pk=pair.session.pk)
