"""A cache that fails costs speed."""

import logging

import pytest
from django.core.cache.backends.locmem import LocMemCache

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory, log_in
from tests.verdicts.ends import by_one

# In a transaction nothing is filled.
pytestmark = pytest.mark.django_db(transaction=True)


def down(self, *args, **kwargs):
    raise ConnectionError("the cache is gone")


@pytest.fixture
def unreachable(monkeypatch):
    for name in ("get_many", "set", "add", "delete", "set_many", "get"):
        monkeypatch.setattr(LocMemCache, name, down, raising=False)


def test_a_cache_that_is_down_costs_speed_only(client, aget, user, request, caplog, later):
    session = log_in(client, user)
    request.getfixturevalue("unreachable")
    later(60)
    for _ in range(2):
        assert client.get("/who/").content.decode() == user.get_username()
        assert aget("/awho/").content.decode() == user.get_username()
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert UserSession.objects.filter(pk=session.pk).revoke("admin") == 1
    assert client.get("/who/").content == b"nobody"
    assert "could not be told" in caplog.text
    assert len(caplog.records) == 2  # whatever was asked meanwhile


def test_a_cache_that_goes_down_after_a_fill_is_believed_no_more(client, user, recalled, request):
    session = log_in(client, user)
    recalled(lambda: client.get("/who/").content)
    request.getfixturevalue("unreachable")
    by_one(session)
    assert client.get("/who/").content == b"nobody"


def test_a_cache_that_takes_a_part_only_is_told_of(user, monkeypatch, caplog):
    session = UserSessionFactory(user=user)
    monkeypatch.setattr(LocMemCache, "set_many", lambda self, data, timeout: list(data), raising=False)
    with caplog.at_level(logging.ERROR):
        by_one(session)
    assert "could not be told" in caplog.text
