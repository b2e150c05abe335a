"""A LOGIN_HOOK refuses a login, or asks for a second factor."""

import sys

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.utils.translation import gettext_lazy

from sessions_ext.exceptions import SecondFactorRequired
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests.api.calls import JSON, problem, refresh, sign_in

pytestmark = pytest.mark.django_db

RIGHT = "123456"
asked = []


def code_by_post(request, user, code):
    """Asks for a code of whoever has a last name."""
    asked.append((request.path, user.get_username(), code))
    if user.last_name and code != RIGHT:
        get_user_model().objects.filter(pk=user.pk).update(first_name="was asked")
        raise SecondFactorRequired(["letter", "pigeon"])


def nobody(request, user, code):
    raise PermissionDenied("and here is why")


def says_no(request, user, code):
    return False


def answers(request, user, code):
    return HttpResponse(status=403)


async def refuses_later(request, user, code):
    raise PermissionDenied


def one_method(request, user, code):
    raise SecondFactorRequired("totp")


def method_in_words(request, user, code):
    raise SecondFactorRequired([gettext_lazy("totp")])


@pytest.fixture(autouse=True)
def _hook(settings):
    sys.modules.setdefault(__name__, sys.modules[code_by_post.__module__])
    settings.SESSIONS_EXT = {"LOGIN_HOOK": f"{__name__}.code_by_post"}
    asked.clear()


@pytest.fixture
def user():
    return UserFactory(last_name="Lovelace")


def knock(user, password="password", **more):
    body = {"username": user.get_username(), "password": password, **more}
    return Client().post("/api/sessions", body, JSON)


def test_whoever_needs_no_second_factor_signs_in():
    user = UserFactory()
    assert sign_in(user.get_username()).status_code == 201
    assert asked == [("/api/sessions", user.get_username(), "")]


def test_whoever_needs_one_is_told_what_to_send_and_goes_on_with_it(user, sent):
    answer = knock(user)
    assert answer.json()["methods"] == ["letter", "pigeon"]
    assert answer["WWW-Authenticate"] == 'Bearer error="insufficient_user_authentication"'
    assert problem(answer) == "401 second_factor_required"
    assert not UserSession.objects.exists()
    assert sent.logins == sent.failures == []  # nothing was wrong so far
    signed_in = knock(user, code=RIGHT)
    assert signed_in.status_code == 201
    assert [one.user for one in sent.logins] == [user]
    assert refresh(signed_in.json()["refresh_token"]).status_code == 200
    assert len(asked) == 2


def test_a_wrong_code_is_a_failed_login(user, sent):
    answer = knock(user, code="654321")
    assert problem(answer) == "401 second_factor_required"
    assert "654321" not in answer.content.decode()
    assert [one.credentials for one in sent.failures] == [{"username": user.get_username()}]
    assert not UserSession.objects.exists()


def test_a_lockout_app_counts_wrong_codes(user, settings):
    settings.AXES_ENABLED = True
    settings.AXES_FAILURE_LIMIT = 2
    settings.AXES_LOCKOUT_PARAMETERS = ["username"]
    settings.AUTHENTICATION_BACKENDS = [
        "axes.backends.AxesStandaloneBackend",
        "django.contrib.auth.backends.ModelBackend",
    ]
    for _ in range(2):
        assert problem(knock(user, code="654321")) == "401 second_factor_required"
    assert problem(knock(user, code=RIGHT)) == "401 invalid_credentials"
    assert AccessAttempt.objects.get().failures_since_start >= 2


def test_with_a_wrong_password_nobody_learns_of_the_second_factor(user):
    for code in ("", RIGHT):
        assert problem(knock(user, "wrong", code=code)) == "401 invalid_credentials"
    assert asked == []


def test_a_hook_that_refuses_is_a_login_denied(user, settings):
    settings.SESSIONS_EXT = {"LOGIN_HOOK": f"{__name__}.nobody"}
    answer = knock(user, code=RIGHT)
    assert problem(answer) == "403 login_denied"
    assert "why" not in answer.content.decode()
    assert not UserSession.objects.exists()


@pytest.mark.filterwarnings("ignore:.*never awaited", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("hook", [says_no, answers, refuses_later])
def test_a_hook_that_refuses_in_a_way_of_its_own_lets_nobody_in(user, settings, hook):
    settings.SESSIONS_EXT = {"LOGIN_HOOK": f"{__name__}.{hook.__name__}"}
    with pytest.raises(TypeError, match="refuses by an exception"):
        knock(user)
    assert not UserSession.objects.exists()


@pytest.mark.parametrize("hook", [one_method, method_in_words])
def test_a_method_is_told_as_one_text(user, settings, hook):
    settings.SESSIONS_EXT = {"LOGIN_HOOK": f"{__name__}.{hook.__name__}"}
    assert knock(user).json()["methods"] == ["totp"]


@pytest.mark.django_db(transaction=True)
def test_what_a_hook_writes_stays_where_it_asks(user, monkeypatch):
    """As the number of attempts, which is the bound of them."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    assert problem(knock(user, code="654321")) == "401 second_factor_required"
    user.refresh_from_db()
    assert user.first_name == "was asked"


@pytest.mark.parametrize("code", [1, ["1"], "1" * 256, None, "\ud800"])
def test_a_code_of_another_form_is_told_so(user, code):
    assert problem(knock(user, code=code)) == "422 invalid_request"
    assert asked == []


def test_a_session_is_ended_for_a_login_only_after_the_second_factor(user, settings):
    hook = settings.SESSIONS_EXT
    settings.SESSIONS_EXT = hook | {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    first = knock(user, code=RIGHT).json()["session"]["id"]
    assert problem(knock(user, ends=first)) == "401 second_factor_required"
    assert problem(knock(user, ends=first, code="000000")) == "401 second_factor_required"
    assert UserSession.objects.get(pk=first).is_active
    assert knock(user, ends=first, code=RIGHT).status_code == 201
    assert UserSession.objects.get(pk=first).revoked_reason == "user"
