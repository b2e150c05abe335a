import pytest

from sessions_ext.store import AUTHENTICATED_KEY
from sessions_ext.testing import UserSessionFactory, log_in


@pytest.fixture
def here(client, user):
    """The session of `client`, whose person typed the password just now."""
    return log_in(client, user, device_info="Firefox on Linux")


@pytest.fixture
def there(user):
    return UserSessionFactory(user=user, device_info="Safari on iPhone", location="New York, US")


@pytest.fixture
def stale(client, here):
    """The same, but it is a while ago."""
    data = client.session
    data[AUTHENTICATED_KEY] -= 16 * 60
    data.save()
    return here
