"""What the cache knows of sessions, and that it never knows better than the database."""

import logging
import os
import pickle
import threading
from datetime import timedelta
from urllib.parse import quote

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import HASH_SESSION_KEY, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection, models, transaction
from django.test import Client, RequestFactory, override_settings
from django.utils import timezone

from sessions_ext import managers, tokens, verdicts
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.users.models import Person

# In a transaction nothing is filled.
pytestmark = pytest.mark.django_db(transaction=True)

BACKEND = "django.contrib.auth.backends.ModelBackend"

has_parents = pytest.mark.skipif(os.environ.get("USER_MODEL") != "child", reason="of users with parents")


@pytest.fixture(autouse=True)
def _cached(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.SESSIONS_EXT = {"CACHE": "default", "REFRESH_GRACE": 0}


class PickyBackend(ModelBackend):
    def get_user(self, user_id):
        user = super().get_user(user_id)
        return user if user and user.last_name != "nobody" else None


def sign_in(user):
    return tokens.login(RequestFactory().post("/"), user, BACKEND)


def verify(session):
    return UserSession.objects.verify(str(session.user_id), str(session.pk), recall=True)


@pytest.fixture
def recalled(django_assert_num_queries):
    """Call something a second time, when it must not ask the database."""

    def check(ask):
        first = ask()
        with django_assert_num_queries(0):
            again = ask()
        assert first
        assert again == first
        return again

    return check


@pytest.mark.parametrize("path", ["/who/", "/row/", "/awho/", "/arow/"])
def test_a_cookie_that_was_verified_costs_no_query(client, aget, user, recalled, path):
    log_in(client, user)
    get = aget if path.startswith("/a") else client.get
    recalled(lambda: get(path).content)


def test_an_access_token_that_was_verified_costs_no_query(user, recalled):
    pair = sign_in(user)
    session = recalled(lambda: tokens.verify(pair.access_token))
    assert session.user == user


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


# Whatever ends a session ends its verdict.


def by_one(session):
    UserSession.objects.filter(pk=session.pk).revoke("admin")


def by_all(session):
    UserSession.objects.for_user(session.user).active().revoke("admin")


def by_async(session):
    async_to_sync(UserSession.objects.for_user(session.user).arevoke)("admin")


def by_limit(session):
    UserSessionFactory(user=session.user)
    with override_settings(SESSIONS_EXT={"CACHE": "default", "MAX_SESSIONS": 1}):
        UserSession.objects.enforce_limit(session.user)


def by_login_at_the_limit(session):
    with override_settings(SESSIONS_EXT={"CACHE": "default", "MAX_SESSIONS": 1}):
        log_in(Client(), session.user)


def by_password(session):
    user = get_user_model().objects.get(pk=session.user_id)
    user.set_password("another")
    user.save()


def by_deactivation(session):
    user = get_user_model().objects.get(pk=session.user_id)
    user.is_active = False
    user.save()


def by_deleting_the_user(session):
    get_user_model().objects.get(pk=session.user_id).delete()


def by_deleting_the_users(session):
    get_user_model().objects.filter(pk=session.user_id).delete()


def by_deleting_the_row(session):
    UserSession.objects.get(pk=session.pk).delete()


def by_deleting_the_rows(session):
    UserSession.objects.filter(pk=session.pk).delete()


def by_saving_the_row(session):
    row = UserSession.objects.get(pk=session.pk)
    row.is_revoked, row.revoked_at = True, timezone.now()
    row.save(update_fields=["is_revoked", "revoked_at"])


def by_suspicion(session):
    with override_settings(SESSIONS_EXT={"CACHE": "default", "SUSPICION_THRESHOLD": 1}):
        UserSession.objects.get(pk=session.pk).flag_suspicious("odd")


def by_admin(session):
    client = Client()
    log_in(client, UserFactory(is_staff=True, is_superuser=True))
    api = f"/api/users/{quote(str(session.user_id), safe='')}/sessions/{session.pk}"
    assert client.delete(api).status_code == 204


def by_a_transaction(session):
    with transaction.atomic():
        by_one(session)
        verify(session)


WAYS = [way for name, way in list(globals().items()) if name.startswith("by_")]


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


def test_a_revoke_is_told_of_again_when_it_is_repeated(user, monkeypatch):
    """The cache may have been out of reach the first time."""
    session, other = UserSessionFactory(user=user), UserSessionFactory()
    assert verify(session)
    with monkeypatch.context() as outage:
        outage.setattr(LocMemCache, "set_many", down, raising=False)
        assert UserSession.objects.all().revoke("stolen") == 2
    UserSessionFactory(user=other.user)
    assert verify(session)
    assert UserSession.objects.all().revoke("stolen") == 1
    assert verify(session) is None


def test_a_manager_of_the_projects_own_recalls_nothing(user):
    session = UserSessionFactory(user=user)
    assert verify(session)
    theirs = UserFactory().user_sessions
    for recall in (False, True):
        assert theirs.verify(user.pk, session.pk, recall) is None


def test_a_bulk_revoke_ends_the_verdicts_of_all(monkeypatch):
    monkeypatch.setattr(verdicts, "CHUNK", 2)
    sessions = UserSessionFactory.create_batch(5)
    for session in sessions:
        assert verify(session)
    assert UserSession.objects.all().revoke("admin") == 5
    assert [verify(session) for session in sessions] == [None] * 5


# Races, interleaved on purpose.


@pytest.fixture
def paused(monkeypatch):
    """Run something in a thread up to where a verdict would be filled, and there do `meanwhile`."""

    def run(ask, meanwhile):
        reached, go_on = threading.Event(), threading.Event()
        keep, results = verdicts.set, []

        def wait_and_keep(session, version):
            monkeypatch.setattr(verdicts, "keep", keep)
            reached.set()
            assert go_on.wait(20)
            keep(session, version)

        def work():
            try:
                results.append(ask())
            finally:
                connection.close()

        monkeypatch.setattr(verdicts, "keep", wait_and_keep)
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert reached.wait(20)
        meanwhile()
        go_on.set()
        thread.join(20)
        return results[0]

    return run


@pytest.mark.parametrize("way", [by_one, by_password, by_deleting_the_row, by_deleting_the_user])
def test_a_fill_that_comes_late_revives_nothing(user, paused, way):
    """F17: the row was read before the revoke, the verdict is written after it returned."""
    session = UserSessionFactory(user=user)
    assert paused(lambda: verify(session), lambda: way(session))  # it began before the revoke
    assert verify(session) is None


def test_a_fill_between_the_revoke_and_its_commit_revives_nothing(user):
    """F17: what another worker reads before the commit is the active row."""
    session = UserSessionFactory(user=user)
    seen = []

    def elsewhere():
        try:
            seen.append(verify(session))
        finally:
            connection.close()

    thread = threading.Thread(target=elsewhere, daemon=True)
    with transaction.atomic():
        by_one(session)
        thread.start()
        thread.join(20)
    if connection.vendor == "postgresql":
        assert seen[0]
    assert verify(session) is None


def test_a_second_revoke_that_returns_first_has_ended_the_verdict(user, monkeypatch):
    """F17: it found nothing to do, but the first has not yet told the cache."""
    session = UserSessionFactory(user=user)
    assert verify(session)
    reached, go_on = threading.Event(), threading.Event()
    write = verdicts._write

    def write_late(keys, version):
        if version() != verdicts.CLOSED:
            monkeypatch.setattr(verdicts, "_write", write)
            reached.set()
            assert go_on.wait(20)
        write(keys, version)

    def first():
        try:
            by_one(session)
        finally:
            connection.close()

    monkeypatch.setattr(verdicts, "_write", write_late)
    thread = threading.Thread(target=first, daemon=True)
    thread.start()
    assert reached.wait(20)
    # What a revoke of another session of theirs, which began before and ends now, does meanwhile.
    verdicts.invalidate({user.pk}, "default")
    assert UserSession.objects.filter(pk=session.pk).revoke("again") == 0
    after = verify(session)
    go_on.set()
    thread.join(20)
    assert after is None


def test_a_process_that_dies_after_its_revoke_revives_nothing(user, monkeypatch):
    """F17: at its commit, when the cache is still to be told."""
    session = UserSessionFactory(user=user)
    assert verify(session)

    def die():
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(verdicts, "_new_version", die)
        with pytest.raises(KeyboardInterrupt):
            by_one(session)
    session.refresh_from_db()
    assert session.is_revoked
    assert verify(session) is None


def test_an_emptied_cache_revives_nothing(user, paused):
    """F17: not with a late fill either, which finds no trace of the revoke."""
    session = UserSessionFactory(user=user)

    def revoke_and_empty():
        by_one(session)
        cache.clear()

    assert paused(lambda: verify(session), revoke_and_empty)
    assert verify(session) is None
    assert verify(session) is None


def test_nothing_is_filled_within_a_transaction(user, django_assert_num_queries):
    """It may be older than the version that it would be filled under, or never be committed."""
    session = UserSessionFactory(user=user)
    with transaction.atomic():
        assert verify(session)
        with django_assert_num_queries(1):
            assert verify(session)


def test_who_fills_a_version_first_fills_it_for_all(user, monkeypatch, django_assert_num_queries):
    session = UserSessionFactory(user=user)
    monkeypatch.setattr(LocMemCache, "add", lambda *args, **kwargs: False)  # another was first
    for _ in range(2):
        with django_assert_num_queries(1):
            assert verify(session)


# A cache that fails costs speed.


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
    assert tokens.verify(tokens._mint(session, BACKEND).access_token)


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
        UserSession.objects.verify(user_id, session_id, recall=True)
    by_one(session)
    assert UserSession.objects.verify(user_id, session_id, recall=True) is None


def test_a_backend_of_the_projects_own_still_says_who_exists(client, user, settings):
    settings.AUTHENTICATION_BACKENDS = ["tests.test_verdicts.PickyBackend"]
    pair = tokens.login(RequestFactory().post("/"), user, settings.AUTHENTICATION_BACKENDS[0])
    for _ in range(2):
        assert tokens.verify(pair.access_token)
    get_user_model().objects.filter(pk=user.pk).update(last_name="nobody")
    assert tokens.verify(pair.access_token) is None


def test_a_fill_amid_a_deletion_revives_nothing(user, monkeypatch):
    """F17: what another worker reads before the row is gone is the active row."""
    session = UserSessionFactory(user=user)
    delete = models.QuerySet.delete
    seen = []

    def elsewhere():
        try:
            seen.append(verify(session))
        finally:
            connection.close()

    def delete_late(rows):
        monkeypatch.setattr(models.QuerySet, "delete", delete)
        thread = threading.Thread(target=elsewhere, daemon=True)
        thread.start()
        thread.join(20)
        return delete(rows)

    assert verify(session)
    monkeypatch.setattr(models.QuerySet, "delete", delete_late)
    assert UserSession.objects.filter(pk=session.pk).delete()[0] == 1
    assert seen == [session]
    assert verify(session) is None


def test_a_login_amid_a_deletion_is_not_deleted_untold(user, monkeypatch):
    delete = models.QuerySet.delete
    started = []

    def elsewhere():
        try:
            started.append(UserSession.objects.start(user))
            assert verify(started[0])
        finally:
            connection.close()

    threads = [threading.Thread(target=elsewhere, daemon=True)]

    def delete_late(rows):
        monkeypatch.setattr(models.QuerySet, "delete", delete)
        threads[0].start()
        if connection.vendor == "postgresql":  # elsewhere it waits for the deletion
            threads[0].join(20)
        return delete(rows)

    monkeypatch.setattr(models.QuerySet, "delete", delete_late)
    assert UserSession.objects.for_user(user).delete()[0] == 0
    threads[0].join(20)
    assert verify(started[0]) == started[0]
    assert UserSession.objects.get() == started[0]


@pytest.mark.parametrize("cached", [{}, {"CACHE": "default"}])
def test_deleting_rows_is_as_it_is_in_django(user, settings, monkeypatch, cached):
    settings.SESSIONS_EXT = cached
    monkeypatch.setattr(managers, "CHUNK", 2)
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


def test_a_commit_that_is_never_told_of_revives_nothing(user, caplog):
    """F17: a hook of the project's own that fails takes ours with it."""
    session = UserSessionFactory(user=user)
    seen = []

    def elsewhere():
        try:
            seen.append(verify(session))
        finally:
            connection.close()

    thread = threading.Thread(target=elsewhere, daemon=True)
    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
        transaction.on_commit(lambda: 1 / 0)
        by_one(session)
        thread.start()
        thread.join(20)
    assert len(seen) == 1
    session.refresh_from_db()
    assert session.is_revoked
    assert verify(session) is None


def test_an_end_that_is_moved_is_seen_at_once(user):
    session = UserSessionFactory(user=user)
    assert verify(session)
    UserSession.objects.filter(pk=session.pk).touch(expires_at=timezone.now() - timedelta(seconds=1))
    assert verify(session) is None


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
            found = await UserSession.objects.averify(str(user.pk), str(session.pk), recall=True)
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

    monkeypatch.setattr(verdicts, "_instance", fail)
    for _ in range(2):
        assert verify(session) == session
    assert "NoPasswordError" in caplog.text
