"""The keys that tokens are signed with, and their change."""

import hashlib

import jwt
import pytest

from sessions_ext import tokens
from tests.pairs import are_refused, claims_of
from tests.tokens.logins import is_signed_by, row_of, sign_in

pytestmark = pytest.mark.django_db


def test_a_new_secret_key_with_the_old_as_fallback_signs_nobody_out(user, settings):
    pair, old = sign_in(user), settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, ["x" * 50, old]
    assert tokens.verify(pair.access_token).user == user
    following = tokens.refresh(pair.refresh_token)
    assert is_signed_by("n" * 50, following.access_token)
    assert is_signed_by("n" * 50, following.refresh_token)
    settings.SECRET_KEY_FALLBACKS = []
    assert tokens.verify(following.access_token).user == user
    assert tokens.refresh(following.refresh_token)


def test_a_double_submit_over_a_key_rotation_gets_a_pair_by_the_new_key(pair, settings):
    tokens.refresh(pair.refresh_token)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
    assert is_signed_by("n" * 50, tokens.refresh(pair.refresh_token).refresh_token)


def test_a_new_secret_key_without_a_fallback_refuses_every_older_token(pair, settings):
    settings.SECRET_KEY = "n" * 50
    assert are_refused(pair)
    assert row_of(pair).is_active


def test_a_signing_key_takes_the_place_of_the_secret_key(user, pair, settings):
    settings.SESSIONS_EXT = {"SIGNING_KEY": "s" * 50}
    assert are_refused(pair)
    following = sign_in(user)
    assert is_signed_by("s" * 50, following.access_token)
    assert tokens.verify(following.access_token).user == user
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    assert tokens.verify(pair.access_token).user == user
    assert is_signed_by("s" * 50, tokens.refresh(pair.refresh_token).refresh_token)


def test_a_signing_key_is_changed_by_way_of_the_fallbacks(user, settings):
    settings.SESSIONS_EXT = {"SIGNING_KEY": "s" * 50}
    pair = sign_in(user)
    settings.SESSIONS_EXT = {"SIGNING_KEY": "t" * 50}
    assert tokens.verify(pair.access_token) is None
    settings.SECRET_KEY_FALLBACKS = ["s" * 50]
    assert tokens.verify(pair.access_token).user == user


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_what_another_library_signed_with_the_same_secret_is_no_token_of_ours(pair, settings, algorithm):
    secret = settings.SECRET_KEY
    for token in (pair.access_token, pair.refresh_token):
        forged = jwt.encode(claims_of(token), secret.ljust(64), algorithm=algorithm)
        assert tokens.verify(forged) is tokens.refresh(forged) is None
        forged = jwt.encode(claims_of(token), hashlib.sha256(secret.encode()).digest().ljust(64), algorithm)
        assert tokens.verify(forged) is tokens.refresh(forged) is None
    assert row_of(pair).is_active
