"""Pairs of tokens as tests present them, and another password than the one of UserFactory."""

import jwt
from django.test import Client, RequestFactory

from sessions_ext import tokens

NEW = "xK4!vnw2p"
JSON = "application/json"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def tokens_of(user):
    return tokens.login(RequestFactory().post("/"), user, MODEL_BACKEND)


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def are_refused(pair):
    """Neither of its tokens does anything any more."""
    return tokens.verify(pair.access_token) is None and tokens.refresh(pair.refresh_token) is None


def parts_of(*given):
    """What is secret of tokens: each segment but the header."""
    return {part for token in given for part in token.split(".")[1:]}


def post(path, data, **more):
    return Client(raise_request_exception=False).post(path, data, JSON, **more)
