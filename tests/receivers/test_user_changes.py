"""Changes of the user: the table and the browser agree."""

import os

import pytest
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.receivers.rows import reasons_of
from tests.users.models import Account, Person, ProxyUser

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


def test_changing_ones_password_ends_the_other_sessions(client, user, engine):
    elsewhere = log_in(Client(), user)
    here = log_in(client, user)
    passwords = {"old_password": "password", "new_password1": "xK4!vnw2p", "new_password2": "xK4!vnw2p"}
    assert client.post("/password/", passwords).status_code == 302
    assert client.get("/row/").content.decode() == str(here.pk)
    elsewhere.refresh_from_db()
    assert elsewhere.revoked_reason == RevokedReason.PASSWORD_CHANGE


def test_changing_ones_password_ends_the_trust_in_this_device_too(client, user):
    here = log_in(client, user, is_trusted=True)
    stranger = UserSessionFactory(is_trusted=True)
    passwords = {"old_password": "password", "new_password1": "xK4!vnw2p", "new_password2": "xK4!vnw2p"}
    client.post("/password/", passwords)
    here.refresh_from_db()
    stranger.refresh_from_db()
    assert (here.is_active, here.is_trusted) == (True, False)
    assert stranger.is_trusted


def test_a_change_that_does_not_renew_the_auth_hash_ends_its_own_session_too(client, user):
    log_in(client, user)
    client.get("/set-password/")
    assert client.get("/who/").content == b"nobody"
    assert reasons_of(user) == [RevokedReason.PASSWORD_CHANGE]


def test_a_password_set_for_another_user_spares_the_operators_session(client, user):
    operator = UserFactory(is_staff=True, is_superuser=True)
    session = log_in(client, operator)
    theirs = UserSessionFactory(user=user)
    new = {"password1": "xK4!vnw2p", "password2": "xK4!vnw2p", "usable_password": "true"}
    path = f"/admin/auth/user/{user.pk}/password/"
    if user._meta.label == "auth.User":
        assert client.post(path, new).status_code == 302
    else:
        user.set_password("xK4!vnw2p")
        user.save()
    theirs.refresh_from_db()
    session.refresh_from_db()
    assert theirs.revoked_reason == RevokedReason.PASSWORD_CHANGE
    assert session.is_active


def test_other_saves_of_a_user_end_nothing(client, user):
    log_in(client, user)
    user.refresh_from_db()
    user.first_name = "Ada"
    user.save()
    assert reasons_of(user) == [""]


def test_a_password_that_is_not_among_the_saved_fields_ends_nothing(client, user):
    log_in(client, user)
    user.set_password("another")
    user.save(update_fields=["first_name"])
    assert reasons_of(user) == [""]


def test_disabling_a_user_ends_every_session(client, user):
    log_in(client, user)
    user.is_active = False
    user.save(update_fields=["is_active"])
    assert reasons_of(user) == [RevokedReason.USER_DISABLED]
    assert client.get("/who/").content == b"nobody"


def test_a_saved_user_costs_one_query_of_ours_where_the_password_is_saved(user, django_assert_num_queries):
    with django_assert_num_queries(1):
        user.save(update_fields=["last_login"])
    tables = 1 + len(user._meta.get_parent_list())
    with django_assert_num_queries(1 + tables):
        user.save()


@pytest.mark.parametrize("change", ["set_password", "set_unusable_password", "assign", "proxy"])
def test_each_way_to_another_password_ends_the_sessions_at_once(user, change):
    session = UserSessionFactory(user=user)
    if change == "proxy":
        user = ProxyUser.objects.get(pk=user.pk)
    if change == "assign":
        user.password = make_password("another")
    elif change == "set_unusable_password":
        user.set_unusable_password()
    else:
        user.set_password("another")
    user.save()
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.PASSWORD_CHANGE


def test_a_user_disabled_through_a_proxy_is_signed_out(user):
    session = UserSessionFactory(user=user)
    proxy = ProxyUser.objects.get(pk=user.pk)
    proxy.is_active = False
    proxy.save()
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.USER_DISABLED


@pytest.mark.skipif(os.environ.get("USER_MODEL") != "child", reason="of users with parents")
def test_a_user_changed_through_a_parent_is_signed_out(user):
    session = UserSessionFactory(user=user)
    Person.objects.get(pk=user.pk).save()
    assert reasons_of(user) == [""]
    account = Account.objects.get(pk=user.pk)
    account.set_password("another")
    account.save()
    session = UserSessionFactory(user=user)
    account.is_active = False
    account.save()
    assert reasons_of(user) == [RevokedReason.PASSWORD_CHANGE, RevokedReason.USER_DISABLED]
    Person.objects.get(pk=user.pk).delete()
    assert not UserSession.objects.filter(pk=session.pk).exists()


def test_a_password_saved_from_an_older_copy_of_the_user_is_seen(user):
    """What counts is what the database held, not what the object was loaded with."""
    stale = type(user).objects.get(pk=user.pk)
    user.set_password("another")
    user.save()
    session = UserSessionFactory(user=user)
    stale.refresh_from_db()
    stale.save()
    session.refresh_from_db()
    assert session.is_active


@pytest.mark.django_db(databases=["default", "other"])
def test_a_copy_of_the_user_in_another_database_ends_nothing(user):
    session = UserSessionFactory(user=user)
    copy = type(user).objects.get(pk=user.pk)
    copy.save(using="other", force_insert=True)
    copy.is_active = False
    copy.save(using="other")
    session.refresh_from_db()
    assert session.is_active


def test_a_fixture_of_users_ends_nothing(user, tmp_path):
    UserSessionFactory(user=user)
    fixture = tmp_path / "users.json"
    type(user).objects.filter(pk=user.pk).update(is_active=False)
    call_command("dumpdata", user._meta.label, output=fixture)
    call_command("loaddata", fixture, verbosity=0)
    assert reasons_of(user) == [""]


def test_deleting_a_user_deletes_their_sessions_and_signs_them_out(both, client, user):
    log_in(client, user)
    type(user).objects.get(pk=user.pk).delete()
    assert both("/who/") == ("nobody", "nobody")
    assert not UserSession.objects.exists()


def test_a_password_reset_ends_every_session(client, user):
    elsewhere = Client()
    log_in(elsewhere, user)
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(type(user).objects.get(pk=user.pk))
    form = client.get(f"/reset/{uid}/{token}/").url
    new = {"new_password1": "xK4!vnw2p", "new_password2": "xK4!vnw2p"}
    assert client.post(form, new).status_code == 302
    assert elsewhere.get("/who/").content == b"nobody"
    assert reasons_of(user) == [RevokedReason.PASSWORD_CHANGE]


def test_the_auth_hash_of_a_session_may_be_renewed(client, user):
    session = log_in(client, user)
    request = RequestFactory().get("/")
    request.session, request.user = client.session, user
    user.set_password("another")
    update_session_auth_hash(request, user)
    assert request.session[ID_KEY] == str(session.pk)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("change", ["set", "assign", "unusable"])
def test_a_password_saved_by_name_is_a_changed_password(user, is_known, change):
    """It looks like Django renewing the hash of the same password, and is not."""
    session = UserSessionFactory(user=user)
    if not is_known:
        type(user).objects.filter(pk=user.pk).update(password="of no hasher")
    if change == "set":
        user.set_password("another")
    else:
        user.password = make_password("another" if change == "assign" else None)
    user.save(update_fields=["password"])
    session.refresh_from_db()
    assert session.revoked_reason == RevokedReason.PASSWORD_CHANGE
