from types import SimpleNamespace

import pytest
import time_machine
from django.db.models import CASCADE, SET_NULL

from sessions_ext.models import UserSession
from tests.cleanup.rows import NOW, told_of
from tests.notes.models import Note


@pytest.fixture
def frozen():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def deleted_ids():
    """What a receiver of post_delete was told."""
    with told_of(UserSession) as ids:
        yield ids


@pytest.fixture
def clock(monkeypatch):
    """Of the bounds of a run: `clock.now` is what it has slept, in seconds, and nothing else takes time."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)

    def sleep(seconds):
        clock.now += seconds

    clock.sleep = sleep
    monkeypatch.setattr("sessions_ext.batches.time", clock)
    return clock


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("sessions_ext.cleanup.LOCK_PAUSE", 0.01)


@pytest.fixture
def foreign_keys(monkeypatch):
    """A project's Note.session cascades, and its Note.seen_in is set to null."""
    for name, on_delete in (("session", CASCADE), ("seen_in", SET_NULL)):
        monkeypatch.setattr(Note._meta.get_field(name).remote_field, "on_delete", on_delete)


@pytest.fixture(params=["alone", "with receivers", "with foreign keys"])
def project(request):
    """What the project has that cleanup must load rows for."""
    if request.param != "alone":
        request.getfixturevalue({"with receivers": "deleted_ids"}.get(request.param, "foreign_keys"))
