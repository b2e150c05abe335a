"""Tokens that were tampered with, and tokens without an end, are refused: F12 and F13."""

import hashlib
from uuid import uuid4

import jwt
import pytest
from django.db import IntegrityError, transaction

from sessions_ext import tokens
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.pairs import are_refused, claims_of, tokens_of

pytestmark = pytest.mark.django_db


def signed(claims, settings, **more):
    """A token by the key that tokens are really signed with."""
    key = hashlib.sha256(b"sessions_ext.tokens" + settings.SECRET_KEY.encode()).digest()
    return jwt.encode(claims | more, key, algorithm="HS256")


@pytest.mark.parametrize("claim", ["sub", "sid", "jti", "iat", "exp", "type", "auth"])
@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_a_token_that_lacks_a_claim_is_refused(user, settings, claim, kind):
    """F12: though it is signed by the right key."""
    pair = tokens_of(user)
    whole = claims_of(getattr(pair, f"{kind}_token"))
    use = tokens.verify if kind == "access" else tokens.refresh
    for claims in (
        {name: value for name, value in whole.items() if name != claim},
        whole | {claim: None},
    ):
        assert use(signed(claims, settings)) is None
    assert UserSession.objects.get().is_active
    assert use(signed(whole, settings))


WRONG = {
    "sub": [1, 0, True, [], {}, ["1"], 1.5, "", "0", "\0", "\ud800", "x" * 1000, str(2**70), "-1"],
    "sid": [1, True, [], {}, "", "x", "\0", "\ud800", "x" * 1000, [str(uuid4())], str(uuid4())],
    "jti": [1, True, [], {}, 1.5],
    "iat": ["1", "x", [], {}, 1.5, True],
    "exp": ["9999999999", "x", [], {}, True, -1, 0, 1.5, 9999999999.5, float("nan"), float("inf")],
    "type": [1, True, [], {}, "", "ACCESS", "Refresh", "access ", "\0"],
    "auth": [1, True, [], {}, "", "\0", "\ud800", "é", "x" * 1000],
}


@pytest.mark.parametrize(("claim", "value"), [(claim, value) for claim in WRONG for value in WRONG[claim]])
def test_a_claim_of_another_kind_is_refused(user, settings, claim, value):
    """F12: though the key is right; nothing breaks, in a transaction either."""
    pair = tokens_of(user)
    access, refresh = claims_of(pair.access_token), claims_of(pair.refresh_token)
    assert tokens.verify(signed(access, settings, **{claim: value})) is None
    assert tokens.refresh(signed(refresh, settings, **{claim: value})) is None
    assert tokens.verify(pair.access_token)


@pytest.mark.parametrize("more", ["\ud800", "é"])
def test_a_digest_that_is_not_ascii_is_refused(user, settings, more):
    """F12: that of the right backend before it, so that it would be compared; and it ends nothing."""
    pair = tokens_of(user)
    for token, use in ((pair.access_token, tokens.verify), (pair.refresh_token, tokens.refresh)):
        backend, _, digest = claims_of(token)["auth"].partition(".")
        for auth in (f"{backend}.{more}", f"{backend}.{digest}{more}"):
            assert use(signed(claims_of(token), settings, auth=auth)) is None
    assert UserSession.objects.get().is_active
    assert not are_refused(pair)


def test_tokens_of_two_sessions_are_not_mixed(user, settings):
    """F12: not of two users, two sessions of one, or two kinds, signed by the right key."""
    mine, other, theirs = tokens_of(user), tokens_of(user), tokens_of(UserFactory())
    access, refresh = claims_of(mine.access_token), claims_of(mine.refresh_token)
    foreign = claims_of(theirs.access_token)
    for mixed in ({"sub": foreign["sub"]}, {"sid": foreign["sid"]}):
        assert tokens.verify(signed(access, settings, **mixed)) is None
        assert tokens.refresh(signed(refresh, settings, **mixed)) is None
    assert tokens.verify(signed(refresh, settings, exp=access["exp"])) is None
    assert tokens.refresh(signed(access, settings, exp=refresh["exp"])) is None
    assert UserSession.objects.active().count() == 3
    assert tokens.refresh(signed(refresh, settings, sid=str(other.session.pk))) is None
    assert tokens.verify(mine.access_token)
    assert tokens.verify(theirs.access_token)
    assert tokens.verify(signed(access, settings, auth=foreign["auth"])) is None


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512"])
def test_a_token_in_another_algorithm_is_refused(user, settings, algorithm):
    """F12: with the right key as well."""
    pair = tokens_of(user)
    key = hashlib.sha256(b"sessions_ext.tokens" + settings.SECRET_KEY.encode()).digest()
    key = None if algorithm == "none" else key.ljust(64, b"\0")
    for token in (pair.access_token, pair.refresh_token):
        forged = jwt.encode(claims_of(token), key, algorithm=algorithm)
        for spelling in (forged, forged + token.rpartition(".")[2]):
            assert tokens.verify(spelling) is tokens.refresh(spelling) is None
    assert UserSession.objects.get().is_active


def test_a_truncated_token_is_refused(user):
    """F12: at every length."""
    pair = tokens_of(user)
    for token in (pair.access_token, pair.refresh_token):
        for end in range(len(token)):
            assert tokens.verify(token[:end]) is tokens.refresh(token[:end]) is None
            assert tokens.verify(token[end + 1 :]) is tokens.refresh(token[end + 1 :]) is None


def test_nothing_lasts_for_ever(user, settings):
    """F13: no token without an end is taken, and no row without one is stored."""
    pair = tokens_of(user)
    for token in (pair.access_token, pair.refresh_token):
        endless = claims_of(token)
        del endless["exp"]
        for claims in (endless, endless | {"exp": None}):
            assert tokens.verify(signed(claims, settings)) is tokens.refresh(signed(claims, settings)) is None
    far = signed(claims_of(pair.access_token), settings, exp=2**62)
    UserSession.objects.update(expires_at=pair.session.created_at)
    assert tokens.verify(far) is None
    with pytest.raises(IntegrityError), transaction.atomic():
        UserSession.objects.update(expires_at=None)
