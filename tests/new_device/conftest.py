import pytest

from sessions_ext.testing import UserFactory


@pytest.fixture(autouse=True)
def _turned_on(settings):
    settings.SESSIONS_EXT = {"NEW_DEVICE_EMAIL": True}
    settings.ALLOWED_HOSTS = ["testserver", "example.com"]


@pytest.fixture
def user(transactional_db):
    user = UserFactory()
    if not getattr(user, "email", ""):
        user.email = "ada@example.com"
        user.save()
    return user
