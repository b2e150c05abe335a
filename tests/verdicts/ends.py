"""The ways in which a session ends."""

from urllib.parse import quote

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client, override_settings
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.verdicts.asking import verify


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
