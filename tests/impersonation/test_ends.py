"""A session in which somebody acts as the user ends with that user's sessions, and with those of who acts."""

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.test import Client

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.admin.pages import LIST as ADMIN
from tests.api.calls import App, staff_path
from tests.impersonation.site import user_of
from tests.views.pages import OTHERS

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


def by_manager(of):
    UserSession.objects.for_user(of).revoke("enough")


def by_key(of):
    UserSession.objects.for_user(of.pk).active().revoke("enough")


def by_async(of):
    async_to_sync(UserSession.objects.for_user(of).arevoke)("enough")


def by_page(of):
    elsewhere = Client()
    log_in(elsewhere, of)
    assert elsewhere.post(OTHERS).status_code == 302


def by_api(of):
    assert App(of).delete("/sessions").status_code == 200


def by_staff_of_the_api(of):
    app = App(UserFactory(is_staff=True, is_superuser=True))
    assert app.delete(staff_path(of)).status_code == 200


def by_admin(of):
    root = Client()
    log_in(root, UserFactory(is_staff=True, is_superuser=True))
    ticked = UserSessionFactory(user=of)
    data = {"action": "revoke_users", "_selected_action": [str(ticked.pk)], "confirmed": "yes"}
    assert root.post(ADMIN, data).status_code == 302


def by_password(of):
    of = user_of(of.pk)
    of.set_password("another")
    of.save()


def by_deactivation(of):
    of = user_of(of.pk)
    of.is_active = False
    of.save()


def by_deletion(of):
    user_of(of.pk).delete()


def by_deleting_users(of):
    get_user_model().objects.filter(pk=of.pk).delete()


WAYS = [
    by_manager,
    by_key,
    by_async,
    by_page,
    by_api,
    by_staff_of_the_api,
    by_admin,
    by_password,
    by_deactivation,
    by_deletion,
    by_deleting_users,
]


@pytest.mark.parametrize("end", WAYS)
def test_it_ends_with_all_sessions_of_who_acts(act, client, staff, user, end):
    """F33"""
    customers = UserSessionFactory(user=user)
    acting = act(user)
    assert client.get("/row/").content.decode() == str(acting.pk)
    end(staff)
    assert client.get("/row/").content == b"none"
    customers.refresh_from_db()
    assert customers.is_active
    if acting := UserSession.objects.filter(pk=acting.pk).first():
        assert acting.revoked_reason == ("admin" if end is by_admin else RevokedReason.IMPERSONATOR)


@pytest.mark.django_db(transaction=True)  # in a transaction nothing is filled
@pytest.mark.parametrize("end", WAYS)
def test_its_verdict_ends_as_well(act, client, staff, user, settings, django_assert_num_queries, end):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.SESSIONS_EXT = {"IMPERSONATOR": django_settings.SESSIONS_EXT["IMPERSONATOR"], "CACHE": "default"}
    acting = act(user)
    client.get("/who/")
    with django_assert_num_queries(0):
        assert client.get("/row/").content.decode() == str(acting.pk)
    end(staff)
    assert client.get("/row/").content == b"none"


@pytest.mark.parametrize("end", WAYS)
def test_it_ends_with_all_sessions_of_the_user(act, client, user, end):
    act(user)
    end(user)
    assert client.get("/row/").content == b"none"


def test_it_stays_when_one_session_of_who_acts_is_ended(act, client, staff, user):
    elsewhere = UserSessionFactory(user=staff)
    acting = act(user)
    assert elsewhere.revoke("user")
    UserSession.objects.for_user(staff).filter(pk=elsewhere.pk).revoke("user")
    assert client.get("/row/").content.decode() == str(acting.pk)


def test_it_ends_where_it_meets_the_other_conditions(act, client, staff, user):
    acting = act(user)
    UserSession.objects.for_user(staff).filter(device_info="of somebody else").revoke("old app")
    UserSession.objects.for_user(staff).exclude(pk=acting.pk).revoke("user")
    assert client.get("/row/").content.decode() == str(acting.pk)


def test_sessions_of_several_users_may_be_named_at_once(act, client, staff, user):
    act(user)
    assert UserSession.objects.filter(user__in=[staff, UserFactory()]).revoke("enough") == 0
    assert client.get("/row/").content == b"none"


def test_a_revoke_that_names_no_user_ends_what_it_names(act, client, staff, user):
    acting = act(user)
    UserSession.objects.filter(impersonator=None).revoke("enough")
    assert client.get("/row/").content.decode() == str(acting.pk)


def test_the_password_that_staff_set_for_themselves_meanwhile_leaves_others_alone(act, staff, user):
    other = UserSessionFactory(user=user, impersonator=UserFactory())
    act(user)
    by_password(staff)
    other.refresh_from_db()
    assert other.is_active


def test_it_costs_one_statement_where_an_impersonator_is_set(user, settings, django_assert_num_queries):
    with django_assert_num_queries(2):
        UserSession.objects.for_user(user).revoke("enough")
    settings.SESSIONS_EXT = {}
    with django_assert_num_queries(1):
        UserSession.objects.for_user(user).revoke("enough")


def test_a_request_of_it_costs_what_any_does(act, client, user, django_assert_num_queries):
    act(user)
    client.get("/who/")
    with django_assert_num_queries(2):  # the data with the row and its user, and its activity
        client.get("/who/")
