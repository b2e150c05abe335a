"""Signing in by an e-mail address: what it costs, and the backends of a project."""

import sys

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.api.calls import problem, sign_in

pytestmark = pytest.mark.django_db

ADDRESS = "ada@example.org"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
asked = []


class ByAddress:
    """A backend that knows people by their addresses alone."""

    def authenticate(self, request, username, password):
        asked.append(username)
        users = get_user_model().objects.filter(email__iexact=username, is_active=True)
        return next((user for user in users if user.check_password(password)), None)

    def get_user(self, user_id):
        return get_user_model().objects.filter(pk=user_id).first()


class ByCard:
    def authenticate(self, request, card):
        raise AssertionError("nobody has shown a card")


class Shut:
    """A lockout app, for one account."""

    def authenticate(self, request, username=None, password=None):
        if username == "ada":
            raise PermissionDenied


@pytest.fixture(autouse=True)
def _backends():
    sys.modules.setdefault(__name__, sys.modules[ByAddress.__module__])
    asked.clear()


@pytest.fixture
def backends(settings):
    def configure(*backends):
        paths = [one if isinstance(one, str) else f"{__name__}.{one.__name__}" for one in backends]
        settings.AUTHENTICATION_BACKENDS = paths

    return configure


def test_a_user_name_that_is_an_address_is_found_without_a_search_for_the_address():
    """Which reads all users where there is no index of it."""
    user = UserFactory(username=ADDRESS, email=ADDRESS)
    with CaptureQueriesContext(connection) as queries:
        assert sign_in(ADDRESS).status_code == 201
    assert UserSession.objects.get().user == user
    assert [query["sql"] for query in queries if "UPPER" in query["sql"] or "LIKE" in query["sql"]] == []


def test_whom_only_the_projects_backend_knows_signs_in(backends, sent):
    user = UserFactory(username="ada", email=ADDRESS)
    backends(ByCard, ByAddress)
    assert sign_in(ADDRESS).status_code == 201
    assert UserSession.objects.get().user == user
    assert sent.failures == []


def test_an_address_of_several_is_the_projects_backends_to_tell_apart(backends):
    users = [UserFactory(email=ADDRESS, password=password) for password in ("one", "two")]
    backends(MODEL_BACKEND, ByAddress)
    for user, password in zip(users, ("one", "two"), strict=True):
        assert sign_in(ADDRESS, password).status_code == 201
        assert UserSession.objects.for_user(user).count() == 1
    assert problem(sign_in(ADDRESS, "three")) == "401 invalid_credentials"


@pytest.mark.parametrize("order", [(MODEL_BACKEND, ByAddress), (ByAddress, MODEL_BACKEND)])
def test_beside_the_projects_backend_djangos_still_finds_an_address(backends, sent, order):
    UserFactory(username="ada", email=ADDRESS)
    backends(*order)
    assert sign_in(ADDRESS).status_code == 201
    assert sign_in("ada").status_code == 201
    assert sent.failures == []


def test_a_login_that_fails_is_one_failure_whatever_was_tried(backends, sent):
    UserFactory(username="ada", email=ADDRESS)
    backends(MODEL_BACKEND, ByCard, ByAddress)
    assert problem(sign_in(ADDRESS, "wrong")) == "401 invalid_credentials"
    assert asked == ["ada", ADDRESS]
    assert [one.credentials["username"] for one in sent.failures] == ["ada"]
    assert "wrong" not in str(sent.failures)


def test_who_is_shut_out_by_the_user_name_is_by_the_address(backends, sent):
    UserFactory(username="ada", email=ADDRESS)
    backends(Shut, ByAddress, MODEL_BACKEND)
    assert problem(sign_in(ADDRESS)) == "401 invalid_credentials"
    assert asked == []
    assert len(sent.failures) == 1
