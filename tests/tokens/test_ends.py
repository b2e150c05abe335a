"""Whatever ends a session ends its tokens. (A change of password: F06 in test_security.py.)"""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from sessions_ext import tokens
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, log_in
from tests.pairs import are_refused
from tests.tokens.logins import sign_in

pytestmark = pytest.mark.django_db


def by_one(user, session):
    assert UserSession.objects.for_user(user).filter(pk=session.pk).revoke("stolen") == 1


def by_all(user, session):
    UserSession.objects.for_user(user).revoke("user")


def by_suspicion(user, session):
    session.flag_suspicious("impossible travel")


def by_limit(user, session):
    UserSession.objects.enforce_limit(user)


def by_admin_action(user, session):
    admin = Client()
    log_in(admin, UserFactory(is_staff=True, is_superuser=True))
    selected = {"action": "revoke_selected", "_selected_action": [str(session.pk)], "confirmed": "yes"}
    page = admin.post("/admin/sessions_ext/usersession/", selected | {"reason": "stolen"})
    assert page.status_code == 302, page.content.decode()


def by_deleting_the_row(user, session):
    session.delete()


def by_deactivation(user, session):
    user.is_active = False
    user.save()


def by_raw_deactivation(user, session):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)


def by_deleting_the_user(user, session):
    user.delete()


def by_raw_deletion(user, session):
    with connection.cursor() as cursor:
        key = user._meta.pk.get_db_prep_value(user.pk, connection)
        cursor.execute("DELETE FROM sessions_ext_usersession WHERE user_id = %s", [key])
        cursor.execute(f"DELETE FROM {user._meta.db_table} WHERE id = %s", [key])


@pytest.mark.parametrize(
    "end",
    [
        by_one,
        by_all,
        by_suspicion,
        by_limit,
        by_admin_action,
        by_deleting_the_row,
        by_deactivation,
        by_raw_deactivation,
        by_deleting_the_user,
        by_raw_deletion,
    ],
)
def test_each_end_bites_at_once(user, settings, end):
    refreshed = sign_in(user)
    pair = tokens.refresh(refreshed.refresh_token)
    bystander = sign_in(UserFactory())
    settings.SESSIONS_EXT = {"SUSPICION_THRESHOLD": 1, "MAX_SESSIONS": 0 if end is by_limit else None}
    end(user, pair.session)
    assert tokens.verify(refreshed.access_token) is None
    assert tokens.refresh(refreshed.refresh_token) is None  # not by the grace window either
    assert are_refused(pair)
    assert tokens.verify(bystander.access_token)
