import pytest
import time_machine
from django.db.models.signals import post_delete

from sessions_ext.models import UserSession
from tests.cleanup.rows import NOW


@pytest.fixture
def frozen():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def deleted_ids():
    """What a receiver of post_delete was told."""
    ids = []

    def receive(sender, instance, **kwargs):
        ids.append(instance.pk)

    post_delete.connect(receive, sender=UserSession)
    yield ids
    post_delete.disconnect(receive, sender=UserSession)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("sessions_ext.cleanup.LOCK_PAUSE", 0.01)
