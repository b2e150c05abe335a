"""Whatever ends a session ends its verdict."""

import pytest
from django.db import transaction

from sessions_ext import outages, querysets, tokens, verdict_cache
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.verdicts.asking import sign_in, verify
from tests.verdicts.ends import WAYS, by_one

# In a transaction nothing is filled.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("way", WAYS)
def test_a_cookie_is_refused_at_once_however_its_session_ends(client, aget, user, recalled, way):
    session = log_in(client, user)
    recalled(lambda: client.get("/who/").content)
    way(session)
    assert client.get("/who/").content == b"nobody"
    assert aget("/awho/").content == b"nobody"


@pytest.mark.parametrize("way", WAYS)
def test_a_token_is_refused_at_once_however_its_session_ends(user, recalled, way):
    pair = sign_in(user)
    recalled(lambda: tokens.verify(pair.access_token))
    way(pair.session)
    assert tokens.verify(pair.access_token) is None


def test_a_replayed_refresh_token_ends_the_verdict(user, recalled):
    pair = sign_in(user)
    following = tokens.refresh(pair.refresh_token)
    recalled(lambda: tokens.verify(following.access_token))
    assert tokens.refresh(pair.refresh_token) is None
    assert tokens.verify(following.access_token) is None


def test_signing_out_ends_the_verdict(client, user, recalled):
    session = log_in(client, user)
    recalled(lambda: client.get("/who/").content)
    captured = client.cookies["sessionid"].value
    client.post("/logout/")
    client.cookies["sessionid"] = captured
    assert client.get("/who/").content == b"nobody"
    assert verify(session) is None


def test_a_revoke_that_is_rolled_back_ended_nothing(client, user, recalled):
    session = log_in(client, user)
    recalled(lambda: client.get("/who/").content)
    with transaction.atomic():
        by_one(session)
        transaction.set_rollback(True)
    assert client.get("/who/").content.decode() == user.get_username()


def test_the_sessions_of_others_stay_recalled(user, django_assert_num_queries):
    mine, theirs = UserSessionFactory(user=user), UserSessionFactory()
    for session in (mine, theirs):
        assert verify(session)
    UserSession.objects.filter(pk=mine.pk).revoke("admin")
    with django_assert_num_queries(0):
        assert verify(theirs)


def test_the_sessions_of_one_user_hold_nobody_elses(user):
    session = UserSessionFactory(user=user)
    assert user.user_sessions.verify(user.pk, session.pk) == session
    assert UserFactory().user_sessions.verify(user.pk, session.pk) is None


def test_a_bulk_revoke_ends_the_verdicts_of_all(monkeypatch):
    monkeypatch.setattr(verdict_cache, "CHUNK", 2)
    monkeypatch.setattr(outages, "CHUNK", 2)
    sessions = UserSessionFactory.create_batch(5)
    for session in sessions:
        assert verify(session)
    assert UserSession.objects.all().revoke("admin") == 5
    assert [verify(session) for session in sessions] == [None] * 5


@pytest.mark.parametrize("cached", [{}, {"CACHE": "default"}])
def test_deleting_rows_is_as_it_is_in_django(user, settings, monkeypatch, cached):
    settings.SESSIONS_EXT = cached
    monkeypatch.setattr(querysets, "CHUNK", 2)
    sessions = UserSession.objects.for_user(user)
    assert sessions.delete() == (0, {})
    UserSessionFactory.create_batch(5, user=user)
    for refused in (sessions[:2], sessions.values("pk")):
        with pytest.raises(TypeError):
            refused.delete()
    locking = sessions.select_for_update()
    assert locking.delete() == (5, {"sessions_ext.UserSession": 5})
    sessions = UserSession.objects.for_user(user)
    UserSessionFactory(user=user)
    assert len(sessions) == 1
    sessions.delete()
    assert len(sessions) == 0
