"""What points at a session goes with it, or is set to null, and nothing else is."""

from datetime import timedelta

import pytest
from django.db.models.signals import post_delete
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests.notes.models import Note, Visit

pytestmark = pytest.mark.django_db


def test_foreign_keys_cascade(user, django_capture_on_commit_callbacks):
    now = timezone.now()
    deleted = []

    def receive(instance, **kwargs):
        deleted.append(instance.text)

    kept = [
        UserSessionFactory(user=user),
        UserSessionFactory(user=user, revoked=True, expires_at=now - timedelta(days=1)),
    ]
    gone = [UserSessionFactory(user=user, expires_at=now - timedelta(days=1 + number)) for number in range(5)]
    gone += [
        UserSessionFactory(user=user, revoked=True, revoked_at=now - timedelta(days=60))
        for number in range(5)
    ]
    for number, session in enumerate(kept + gone):
        Note.objects.create(session=session, text=str(number))
        Visit.objects.create(session=session)
    post_delete.connect(receive, sender=Note)
    try:
        assert UserSession.objects.cleanup(batch_size=3) == (5, 5, True)
    finally:
        post_delete.disconnect(receive, sender=Note)
    assert sorted(deleted, key=int) == [str(number) for number in range(2, 12)]
    assert set(Note.objects.values_list("session_id", flat=True)) == {session.pk for session in kept}
    assert Visit.objects.filter(session=None).count() == 10
    assert Visit.objects.filter(session__in=kept).count() == 2
    assert set(UserSession.objects.all()) == set(kept)
