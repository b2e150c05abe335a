"""Actions act on what there is, though the replica that the list is read from lags behind."""

import pytest

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.admin.pages import END_ALL, act, ask, says

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _replica(settings):
    settings.DATABASE_ROUTERS = ["tests.replica.SessionsAreReadFromAReplica"]


@pytest.fixture
def admin(client):
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def active(user):
    return UserSession.objects.primary.for_user(user).active()


def test_every_action_finds_the_sessions(admin):
    user = UserFactory()
    one, other = (UserSession.objects.start(user) for _ in range(2))
    assert not UserSession.objects.exists()
    assert "1 session:" in ask(admin, "trust_selected", one).content.decode()
    assert says(act(admin, "trust_selected", one)) == ["1 session was changed."]
    assert says(act(admin, "untrust_selected", one)) == ["1 session was changed."]
    assert says(act(admin, "revoke_selected", one)) == ["1 session was revoked."]
    assert list(active(user)) == [other]
    UserSession.objects.start(user)
    assert "2 sessions:" in ask(admin, "revoke_users", one).content.decode()
    assert says(act(admin, "revoke_users", one)) == ["2 sessions were revoked."]
    assert not active(user).exists()


def test_everybodys_sessions_are_ended(admin):
    user = UserFactory()
    UserSession.objects.start(user)
    assert "2 sessions are active." in admin.get(END_ALL).content.decode()
    admin.post(END_ALL, {"word": "end all", "spare_own": "on"})
    assert not active(user).exists()
    assert UserSession.objects.primary.active().count() == 1
