"""Lockout apps see the logins by the API."""

import pytest
from axes.models import AccessAttempt

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.api.calls import App, problem, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def axes(settings):
    settings.AXES_ENABLED = True
    settings.AXES_FAILURE_LIMIT = 3
    settings.AXES_LOCKOUT_PARAMETERS = ["username"]
    settings.AXES_RESET_ON_SUCCESS = True
    settings.AUTHENTICATION_BACKENDS = [
        "axes.backends.AxesStandaloneBackend",
        "django.contrib.auth.backends.ModelBackend",
    ]


def test_axes_locks_an_account_out_after_failures(axes):
    UserFactory(username="ada", email="ada@example.org")
    UserFactory(username="bob")
    for name in ("ada", "ada@example.org", "ada"):
        assert problem(sign_in(name, "wrong")) == "401 invalid_credentials"
    for name in ("ada", "ada@example.org"):
        assert problem(sign_in(name)) == "401 invalid_credentials"
    assert not UserSession.objects.exists()
    assert sign_in("bob").status_code == 201
    AccessAttempt.objects.all().delete()
    assert sign_in("ada").status_code == 201


def test_axes_forgets_failures_at_a_success(axes):
    user = UserFactory(username="ada")
    for _ in range(3):
        for _ in range(2):
            assert problem(sign_in("ada", "wrong")) == "401 invalid_credentials"
        assert App(user).get("/sessions").status_code == 200
        assert not AccessAttempt.objects.exists()
