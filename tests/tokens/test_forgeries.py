"""Forgeries: whatever was not minted is refused, breaks nothing and ends nobody's session."""

import base64
import json
import string
import time
from uuid import UUID, uuid4

import pytest
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sessions_ext import tokens
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.pairs import claims_of
from tests.tokens.logins import CLAIMS, key_of, row_of, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


BASE64URL = string.ascii_letters + string.digits + "-_"
EVERYTHING = st.characters(exclude_categories=())  # halves of surrogate pairs, and NUL, too
WRONG_KEYS = [b"", b"secret", b"\0" * 32]


def encoded(value):
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(segment):
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def signed(header, claims, key, digest="sha256"):
    import hmac

    content = f"{encoded(header)}.{encoded(claims)}"
    return f"{content}.{encoded(hmac.digest(key, content.encode(), digest))}"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(EVERYTHING, max_size=40)
    | st.sampled_from(["access", "refresh", "None", "", "0", "-1", "9999999999", "1e400", "\0", "\ud800"]),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=5,
)
algorithms = st.sampled_from(
    [
        *["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "hs256"],
        "",
        "HS256 ",
        None,
        0,
        True,
        [],
        ["HS256"],
        {"alg": "HS256"},
    ]
)
headers = st.fixed_dictionaries(
    {"alg": algorithms | st.just("HS256")},
    optional={
        "typ": json_values,
        "kid": json_values | st.sampled_from(["../../dev/null", "' OR 1=1 --"]),
        "crit": st.lists(st.sampled_from(["exp", "b64", ""]), max_size=2) | json_values,
        "b64": st.booleans() | json_values,
        "zip": st.just("DEF"),
        "jku": st.just("https://example.com/keys"),
        "jwk": st.just({"kty": "oct", "k": encoded(b"\0" * 32)}),
        "x5c": json_values,
        "cty": st.just("JWT"),
    },
)


@st.composite
def mutations(draw, minted):
    token = draw(st.sampled_from(minted))
    segments = token.split(".")
    position = draw(st.integers(0, len(token) - 1))
    at = draw(st.integers(0, 2))
    kind = draw(
        st.sampled_from(["bit", "replace", "insert", "delete", "cut", "swap", "pad", "repeat", "case"])
    )
    if kind == "bit":
        raw = bytearray(decoded(segments[at]))
        bit = draw(st.integers(0, 8 * len(raw) - 1))
        raw[bit // 8] ^= 1 << bit % 8
        segments[at] = encoded(bytes(raw))
        return ".".join(segments)
    if kind == "replace":
        return token[:position] + draw(st.sampled_from(BASE64URL) | EVERYTHING) + token[position + 1 :]
    if kind == "insert":
        more = st.text(
            st.sampled_from(" \t\r\n\0=.+/%\ufeff\u200b\ud800\uff41") | EVERYTHING, min_size=1, max_size=5
        )
        return token[:position] + draw(more) + token[position:]
    if kind == "delete":
        return token[:position] + token[position + draw(st.integers(1, 5)) :]
    if kind == "cut":
        return draw(st.sampled_from([token[:position], token[position + 1 :], ".".join(segments[:2]) + "."]))
    if kind == "swap":
        segments[at] = draw(st.sampled_from(minted)).split(".")[at]
        return ".".join(draw(st.permutations(segments)) if draw(st.booleans()) else segments)
    if kind == "pad":
        segments[at] += "=" * draw(st.integers(1, 4))
        return ".".join(segments)
    if kind == "repeat":
        return draw(
            st.sampled_from([token * 2, f"{token}.{token}", f"{token}.{segments[2]}", f"Bearer {token}"])
        )
    return token.swapcase() if draw(st.booleans()) else token[:position] + token[position:].swapcase()


@st.composite
def forgeries(draw, minted, right_key):
    """Tokens with headers and claims at will, signed by nobody, by a wrong key, or by the right
    key in another algorithm."""
    token = draw(st.sampled_from(minted))
    header = draw(headers)
    claims = claims_of(token)
    for name in draw(st.lists(st.sampled_from(sorted(CLAIMS)), max_size=3)):
        if draw(st.booleans()):
            claims.pop(name, None)
        else:
            claims[name] = draw(json_values | st.sampled_from([claims_of(each)[name] for each in minted]))
    body = draw(st.just(claims) | json_values | st.integers(1, 1400).map(lambda depth: b"[" * depth))
    kind = draw(st.sampled_from(["unsigned", "its own", "wrong key", "another algorithm"]))
    if kind == "unsigned":
        return f"{encoded(header)}.{encoded(body)}." + draw(st.sampled_from(["", "A" * 43, "."]))
    if kind == "its own":
        return f"{encoded(header)}.{encoded(body)}.{token.split('.')[2]}"
    if kind == "wrong key":
        return signed(header, body, draw(st.sampled_from(WRONG_KEYS) | st.binary(max_size=64)))
    digest = draw(st.sampled_from(["sha384", "sha512"]))
    return signed(header | {"alg": digest.replace("sha", "HS")}, body, right_key, digest)


rubbish = (
    st.text(EVERYTHING)
    | st.text(BASE64URL + ".", max_size=400)
    | st.lists(st.text(BASE64URL, max_size=60), min_size=2, max_size=5).map(".".join)
    | st.tuples(
        st.text(BASE64URL, min_size=1, max_size=100), st.text(BASE64URL, min_size=43, max_size=43)
    ).map(lambda parts: f"{parts[0]}.{parts[0]}.{parts[1][:42]}A")
)


def fuzz(examples):
    """A few are the same each time, so that no run fails by chance; many are others."""
    return hypothesis_settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples < 1000,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def cases(few, many):
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.slow)])


@pytest.fixture
def minted(user, settings):
    """Two users, three sessions, one of them refreshed: all tokens that there are."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    pairs = [sign_in(user), sign_in(user), sign_in(UserFactory())]
    pairs.append(tokens.refresh(pairs[0].refresh_token))
    return [token for pair in pairs for token in (pair.access_token, pair.refresh_token)]


def rows():
    return list(UserSession.objects.order_by("pk").values())


@cases(120, 80_000)
def test_nothing_is_accepted_that_was_not_minted(examples, minted, settings):
    before = rows()

    @fuzz(examples)
    @given(rubbish | mutations(minted) | forgeries(minted, key_of(settings.SECRET_KEY)))
    def attempt(token):
        if token not in minted:
            assert tokens.verify(token) is None
            assert tokens.refresh(token) is None

    attempt()
    assert rows() == before


@cases(50, 20_000)
def test_claims_of_another_kind_are_refused_though_the_key_is_right(examples, minted, settings):
    """Signed by the right key, so that only the reading of the claims stands in between."""
    key, token = key_of(settings.SECRET_KEY), minted[2]
    good = claims_of(token)
    header = {"alg": "HS256", "typ": "JWT"}

    def is_still_good(claims):
        same = all(claims.get(name) == good[name] for name in ("sub", "type", "auth"))
        times = all(type(claims.get(name)) is int for name in ("iat", "exp"))
        texts = all(type(claims.get(name)) is str for name in ("sub", "sid", "jti"))
        return (
            same
            and times
            and texts
            and claims["exp"] > time.time()
            and UUID(claims["sid"]) == UUID(good["sid"])
        )

    @fuzz(examples)
    @given(st.dictionaries(st.sampled_from(sorted(CLAIMS)), json_values, min_size=1, max_size=3))
    def attempt(changes):
        claims = good | changes
        session = tokens.verify(signed(header, claims, key))
        assert session is None or is_still_good(claims)
        refresh = claims_of(minted[3]) | {"jti": str(uuid4())} | changes
        assert tokens.refresh(signed(header, refresh, key)) is None
        UserSession.objects.update(is_revoked=False, revoked_at=None, revoked_reason="")

    attempt()


@cases(50, 2_000)
def test_whatever_is_presented_to_the_api_is_a_401(examples, minted):
    before = rows()
    client = Client()

    @fuzz(examples)
    @given(rubbish | mutations(minted))
    def attempt(token):
        if token.strip() in minted:
            return
        answer = client.get("/api/sessions", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        body = json.dumps({"refresh_token": token})
        answer = client.post("/api/sessions/refresh", body, content_type="application/json")
        assert answer.status_code == 401 or (answer.status_code == 422 and "\\ud" in body)

    attempt()
    assert rows() == before


def deep(count):
    return b'{"a":' * count + b"1" + b"}" * count


@pytest.mark.parametrize(
    "token",
    [
        "x" * 1_000_000,
        "." * 1_000_000,
        "a." * 500_000,
        "\0" * 1_000_000,
        "é" * 1_000_000,
        f"{'a' * 100}.{'a' * 1_000_000}.{'a' * 42}A",
        f"{encoded(deep(15))}.{encoded(deep(400))}.{'A' * 43}",
        f"{encoded(b'[' * 70)}.{encoded(b'[' * 2900)}.{'A' * 43}",
        f"{encoded(b'1' * 70)}.{encoded(b'1' * 2900)}.{'A' * 43}",
    ],
    ids=["x", "dots", "pairs", "NUL", "not ASCII", "long claims", "deep", "open", "digits"],
)
def test_big_and_deep_tokens_are_refused_in_no_time(token):
    started = time.process_time()
    assert tokens.verify(token) is tokens.refresh(token) is None
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "payload",
    [b"[" * 2900, deep(400), b'"' + b"\\ud800" * 400 + b'"', b"\xff\xfe", b"", b"null", b"1" * 2900],
)
def test_a_payload_that_is_no_claims_is_refused_though_the_key_is_right(payload, settings):
    for header in ({"alg": "HS256"}, {"alg": "HS256", "typ": "JWT"}):
        token = signed(header, payload, key_of(settings.SECRET_KEY))
        assert tokens.verify(token) is tokens.refresh(token) is None


def test_a_token_has_one_spelling(pair):
    """Base64 lets the last character of a signature differ in bits that do not count."""
    for token in (pair.access_token, pair.refresh_token):
        spellings = [token[:-1] + last for last in BASE64URL if last != token[-1]]
        same = [each for each in spellings if decoded(each.split(".")[2]) == decoded(token.split(".")[2])]
        assert len(same) == 3
        assert not any(tokens.verify(each) or tokens.refresh(each) for each in spellings)
    assert row_of(pair).is_active
