"""What was verified is recalled without a query, and is the same."""

from datetime import timedelta

import pytest
from django.contrib.auth import HASH_SESSION_KEY, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.db import transaction
from django.test import RequestFactory
from django.utils import timezone

from sessions_ext import activity, tokens
from sessions_ext.authentication import stamp
from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory, log_in
from tests.verdicts.asking import BACKEND, sign_in, verify, verify_ids
from tests.verdicts.ends import by_one

# In a transaction nothing is filled.
pytestmark = pytest.mark.django_db(transaction=True)


class PickyBackend(ModelBackend):
    def get_user(self, user_id):
        user = super().get_user(user_id)
        return user if user and user.last_name != "nobody" else None


@pytest.mark.parametrize("path", ["/who/", "/row/", "/awho/", "/arow/"])
def test_a_cookie_that_was_verified_costs_no_query(client, aget, user, recalled, path):
    log_in(client, user)
    get = aget if path.startswith("/a") else client.get
    recalled(lambda: get(path).content)


def test_an_access_token_that_was_verified_costs_no_query(user, recalled):
    pair = sign_in(user)
    session = recalled(lambda: tokens.verify(pair.access_token))
    assert session.user == user


def test_the_manager_asks_the_database_though_a_verdict_is_kept(user, recalled, django_assert_num_queries):
    session = sign_in(user).session
    recalled(lambda: verify(session))
    with django_assert_num_queries(1):
        assert UserSession.objects.verify(user.pk, session.pk) == session


def test_without_a_cache_each_request_asks(client, user, settings, django_assert_num_queries):
    settings.SESSIONS_EXT = {}
    log_in(client, user)
    for _ in range(2):
        with django_assert_num_queries(1):
            client.get("/who/")


def test_a_verdict_holds_for_verdict_ttl(client, user, later, settings, django_assert_num_queries):
    later(0)
    settings.SESSIONS_EXT |= {"VERDICT_TTL": 10}
    session = log_in(client, user)
    client.get("/who/")
    later(9)
    with django_assert_num_queries(0):
        client.get("/who/")
    UserSession.objects.filter(pk=session.pk).update(is_revoked=True, revoked_at=timezone.now())
    assert client.get("/who/").content.decode() == user.get_username()  # behind the app's back
    later(2)
    assert client.get("/who/").content == b"nobody"


def test_what_is_read_in_a_transaction_is_not_kept(user, recalled, django_assert_num_queries):
    """It may be older than the version of the cache, or never be committed."""
    session = sign_in(user).session
    with transaction.atomic():
        assert verify(session) == session
    with django_assert_num_queries(1):
        assert verify(session) == session
    recalled(lambda: verify(session))


# What is recalled is the same.


def test_a_change_of_the_session_is_seen_at_once(user):
    session = UserSessionFactory(user=user)
    assert verify(session).providers_accessed == []
    session.record_provider_access("calendar")
    assert verify(session).providers_accessed == ["calendar"]
    session.flag_suspicious("odd")
    assert verify(session).suspicious_activity_count == 1
    UserSession.objects.filter(pk=session.pk).trust()
    assert verify(session).is_trusted


def test_a_recalled_session_is_touched_once(client, user, later, django_assert_num_queries):
    later(0)
    log_in(client, user)
    client.get("/who/")
    later(60)
    with django_assert_num_queries(1 + 1):  # the verdict has run out
        client.get("/who/")
    later(1)
    with django_assert_num_queries(1):
        client.get("/who/")
    later(1)
    with django_assert_num_queries(0):
        client.get("/who/")


def test_a_session_expires_though_it_is_recalled(client, user, later):
    later(0)
    session = log_in(client, user)
    UserSession.objects.filter(pk=session.pk).update(expires_at=timezone.now() + timedelta(seconds=5))
    assert client.get("/who/").content.decode() == user.get_username()
    later(5)
    assert client.get("/who/").content == b"nobody"


def test_a_session_idles_out_though_it_is_recalled(client, user, later, settings):
    later(0)
    settings.SESSIONS_EXT |= {"IDLE_TIMEOUT": 20, "TOUCH_INTERVAL": 5}
    log_in(client, user)
    assert client.get("/who/").content.decode() == user.get_username()
    later(19)
    assert client.get("/who/").content.decode() == user.get_username()
    later(19)
    assert client.get("/who/").content.decode() == user.get_username()
    later(20)
    assert client.get("/who/").content == b"nobody"


def test_a_key_that_rotates_signs_nobody_out(client, user, settings, recalled):
    log_in(client, user)
    pair = sign_in(user)
    recalled(lambda: client.get("/who/").content)
    recalled(lambda: tokens.verify(pair.access_token))
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another key, and a long one at that, for this test"
    settings.SECRET_KEY_FALLBACKS = [old]
    assert client.get("/who/").content.decode() == user.get_username()
    fresh = sign_in(user)
    assert tokens.verify(fresh.access_token)
    following = tokens.refresh(pair.refresh_token)
    settings.SECRET_KEY_FALLBACKS = []
    assert tokens.verify(following.access_token)  # though the verdict is of before


def test_a_cookie_that_a_verdict_refuses_is_for_the_database_to_judge(client, user, settings, recalled):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    session = log_in(client, user)
    for _ in range(2):
        assert client.get("/who/").content.decode() == user.get_username()
    data = client.session
    data[HASH_SESSION_KEY] = "of another password"
    data.save()
    assert client.get("/who/").content == b"nobody"
    session.refresh_from_db()
    assert session.revoked_reason == "password_change"


def test_a_token_that_a_verdict_refuses_is_for_the_database_to_judge(user):
    """Its user's password was changed behind the app's back, and the token is of after that."""
    pair = sign_in(user)
    assert tokens.verify(pair.access_token)
    user.set_password("another")
    get_user_model().objects.filter(pk=user.pk).update(password=user.password)
    session = UserSession.objects.select_related("user").get(pk=pair.session.pk)
    assert tokens.verify(tokens._mint(session, BACKEND, stamp(session)).access_token)


@pytest.mark.parametrize(
    ("user_id", "session_id"),
    [("{user} ", "{session}"), ("0{user}", "{session}"), ("{user}", "{hex}"), ("\ud800", "{session}")],
)
def test_an_id_of_another_spelling_is_never_recalled(user, user_id, session_id):
    """Its version would be another than the one that a revoke renews."""
    session = UserSessionFactory(user=user)
    values = {"user": user.pk, "session": session.pk, "hex": session.pk.hex}
    user_id, session_id = user_id.format(**values), session_id.format(**values)
    for _ in range(2):
        verify_ids(user_id, session_id)
    by_one(session)
    assert verify_ids(user_id, session_id) is None


def test_a_backend_of_the_projects_own_still_says_who_exists(client, user, settings):
    settings.AUTHENTICATION_BACKENDS = ["tests.verdicts.test_recall.PickyBackend"]
    pair = tokens.login(RequestFactory().post("/"), user, settings.AUTHENTICATION_BACKENDS[0])
    for _ in range(2):
        assert tokens.verify(pair.access_token)
    get_user_model().objects.filter(pk=user.pk).update(last_name="nobody")
    assert tokens.verify(pair.access_token) is None


def test_an_end_that_is_moved_is_seen_at_once(user):
    session = UserSessionFactory(user=user)
    assert verify(session)
    activity.record(session, None, expires_at=timezone.now() - timedelta(seconds=1))
    assert verify(session) is None
