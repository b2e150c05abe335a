import pytest

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, log_in
from tests.impersonation.site import SETTINGS


@pytest.fixture(autouse=True)
def _site(settings):
    settings.ROOT_URLCONF = "tests.impersonation.site"
    settings.SESSIONS_EXT = SETTINGS


@pytest.fixture
def staff(db):
    return UserFactory(is_staff=True, is_superuser=True)


@pytest.fixture
def act(client, staff):
    """Let the staff act as a user in the browser of `client`. Returns the session in which they do."""

    def act(user, **fields):
        log_in(client, staff, **fields)
        return act_from_here(client, user)

    return act


def act_from_here(client, user):
    response = client.get(f"/act/{user.pk}/")
    assert response.status_code == 200, response.content.decode()
    return UserSession.objects.get(pk=response.content.decode())


@pytest.fixture
def act_on(client):
    """The same in whatever session the browser has by now."""
    return lambda user: act_from_here(client, user)
