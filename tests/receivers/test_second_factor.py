"""A receiver that refuses a way in without a second factor: the one of docs/operations.md."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.signals import user_logged_in
from django.test import Client

from sessions_ext import tokens
from sessions_ext.models import UserSession
from tests.api.calls import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = Path(__file__).parent.parent.parent / "docs/operations.md"


@pytest.fixture(autouse=True)
def _receiver():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(block, names)
    yield
    assert user_logged_in.disconnect(dispatch_uid="second_factor")


@pytest.fixture
def staff(user):
    user.is_staff = True
    user.save()
    return user


def signs_in(user, path="/login/", client=None):
    client = client or Client()
    answer = client.post(path, {"username": user.get_username(), "password": "password"})
    return answer.status_code, client.get("/who/").content.decode()


def active(user):
    return UserSession.objects.for_user(user).active().count()


@pytest.mark.parametrize("path", ["/login/", "/alogin/"])
def test_a_login_by_cookie_is_refused_and_leaves_nobody_signed_in(staff, engine, path):
    assert signs_in(staff, path) == (403, "nobody")
    assert active(staff) == 0


def test_a_login_by_tokens_is_refused_and_leaves_no_session(staff):
    assert sign_in(staff.get_username(), "password").json()["code"] == "login_denied"
    assert active(staff) == 0


def test_others_sign_in_as_before(user):
    assert signs_in(user) == (200, user.get_username())
    assert sign_in(user.get_username(), "password").status_code == 201
    assert active(user) == 2


def test_a_view_that_has_checked_it_lets_in(staff, rf):
    request = rf.post("/")
    request.has_second_factor = True
    tokens.login(request, staff, "django.contrib.auth.backends.ModelBackend")
    assert active(staff) == 1
