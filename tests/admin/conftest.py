import pytest
from django.test import Client

from sessions_ext.testing import UserFactory, log_in


@pytest.fixture
def admin():
    """A client that a superuser is logged in with."""
    client = Client()
    log_in(client, UserFactory(username="root", is_staff=True, is_superuser=True))
    return client
