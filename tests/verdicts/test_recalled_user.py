"""A recalled user is a whole one, and writes only what was changed."""

import os
import pickle

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model
from django.core.cache.backends.locmem import LocMemCache

from sessions_ext import tokens, verdict_cache
from sessions_ext.testing import UserSessionFactory, log_in
from tests.users.models import Person
from tests.verdicts.asking import sign_in, verify

# In a transaction nothing is filled.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.user_model]


has_parents = pytest.mark.skipif(os.environ.get("USER_MODEL") != "child", reason="of users with parents")


# What is recalled is the same.


def test_a_recalled_user_is_a_whole_one(client, user, django_assert_num_queries):
    session = log_in(client, user)
    verify(session)
    recalled = verify(session)
    for each in (recalled, recalled.user):
        stored = type(each).objects.get(pk=each.pk)
        for field in each._meta.concrete_fields:
            assert getattr(each, field.attname) == getattr(stored, field.attname), field
    recalled = verify(session)
    with django_assert_num_queries(1):
        assert recalled.user.check_password("password")
    with django_assert_num_queries(0):
        assert recalled.user.has_usable_password()


def test_a_recalled_user_can_be_pickled(user):
    session = UserSessionFactory(user=user)
    for _ in range(2):
        copy = pickle.loads(pickle.dumps(verify(session)))
        assert (copy, copy.user) == (session, user)
        assert copy.user.check_password("password")


def test_the_cache_holds_no_password_and_no_token_id(user, monkeypatch):
    kept = []
    put = LocMemCache.set

    def spy(self, key, value, *args, **kwargs):
        kept.append(repr((key, value)))
        put(self, key, value, *args, **kwargs)

    monkeypatch.setattr(LocMemCache, "set", spy)
    pair = sign_in(user)
    assert tokens.verify(pair.access_token)
    text = "".join(kept)
    assert "device_info" in text
    for secret in (user.password, str(pair.session.refresh_token_id), pair.access_token, pair.refresh_token):
        assert secret not in text


def test_a_change_of_the_user_is_seen_at_once(client, user, recalled):
    log_in(client, user)
    recalled(lambda: client.get("/who/").content)
    user.refresh_from_db()
    user.username = "renamed"
    user.save()
    assert client.get("/who/").content == b"renamed"


def test_a_recalled_user_writes_only_what_was_changed(user):
    """What changed behind the app's back meanwhile stays changed."""
    session = UserSessionFactory(user=user)
    assert verify(session)
    users = get_user_model().objects.filter(pk=user.pk)
    users.update(is_active=False)
    recalled = verify(session).user
    assert recalled.is_active
    recalled.last_name = "Lovelace"
    recalled.save()
    stored = users.get()
    assert (stored.is_active, stored.last_name) == (False, "Lovelace")
    assert not recalled.is_active


@pytest.fixture
def behind(user):
    """A recalled user, whose last name was changed from "light" to "dark" behind the app's back;
    and what is stored."""
    session = UserSessionFactory(user=user)
    stored = get_user_model().objects.filter(pk=user.pk)
    stored.update(last_name="light")
    assert verify(session)
    stored.update(last_name="dark")
    recalled = verify(session).user
    assert recalled.last_name == "light"
    return recalled, stored


def test_a_recalled_user_writes_what_is_named(behind):
    recalled, stored = behind
    recalled.save(update_fields=["last_name"])
    assert stored.get().last_name == "light"


def test_a_recalled_user_who_was_saved_by_name_writes_only_what_was_changed(behind):
    recalled, stored = behind
    recalled.first_name = "Ada"
    recalled.save(update_fields=["first_name"])
    stored.update(first_name="Augusta")
    recalled.save()
    assert (stored.get().first_name, stored.get().last_name) == ("Ada", "dark")


def test_a_recalled_user_takes_back_what_was_saved_by_name(behind):
    recalled, stored = behind
    recalled.last_name = "bright"
    recalled.save(update_fields=["last_name"])
    recalled.last_name = "light"
    recalled.save()
    assert stored.get().last_name == "light"


def test_a_recalled_user_who_was_refreshed_writes_as_any_other(behind):
    recalled, stored = behind
    recalled.refresh_from_db()
    recalled.last_name = "light"
    recalled.save()
    assert stored.get().last_name == "light"


def test_a_recalled_user_whose_password_was_read_writes_only_what_was_changed(behind):
    recalled, stored = behind
    assert recalled.check_password("password")
    recalled.first_name = "Ada"
    recalled.save()
    assert (stored.get().first_name, stored.get().last_name) == ("Ada", "dark")
    recalled.last_name = "light"
    recalled.save()
    assert stored.get().last_name == "light"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_recalled_user_is_written_to_another_database_as_it_is(behind):
    recalled, stored = behind
    copies = get_user_model().objects.using("other")
    copies.all().delete()
    copy = stored.get()
    copy.save(using="other")
    recalled.save(using="other")
    assert copies.get().last_name == "light"
    copies.all().delete()


@has_parents
def test_a_recalled_user_keeps_what_became_of_a_json_column(user):
    session = UserSessionFactory(user=user)
    assert verify(session)
    stored = get_user_model().objects.filter(pk=user.pk)
    stored.update(preferences={"theme": "dark"})
    recalled = verify(session).user
    recalled.last_name = "Lovelace"
    recalled.save()
    assert stored.get().preferences == {"theme": "dark"}
    verify(session)
    recalled = verify(session).user
    recalled.preferences["theme"] = "light"
    recalled.save()
    assert stored.get().preferences == {"theme": "light"}


@has_parents
def test_a_change_of_the_users_parent_is_seen_at_once(user):
    session = UserSessionFactory(user=user)
    assert verify(session)
    person = Person.objects.get(pk=user.pk)
    person.nickname = "Ada"
    person.save()
    assert verify(session).user.nickname == "Ada"


def test_async_code_reads_the_password_before_it_uses_it(user):
    session = UserSessionFactory(user=user)

    async def check():
        for _ in range(2):
            found = await sync_to_async(verify)(session)
        await found.user.arefresh_from_db(fields=["password"])
        return await found.user.acheck_password("password")

    assert async_to_sync(check)()


class NoPasswordError(Exception):
    pass


def test_a_user_who_cannot_be_made_from_the_cache_is_asked_for(user, monkeypatch, caplog):
    """Such as a model whose __init__ reads columns that the cache does not hold."""
    session = UserSessionFactory(user=user)

    def fail(*args):
        raise NoPasswordError

    monkeypatch.setattr(verdict_cache, "_instance", fail)
    for _ in range(2):
        assert verify(session) == session
    assert "NoPasswordError" in caplog.text
