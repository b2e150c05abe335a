"""django-otp, whose middleware stands between ours and the view, and django-axes, which locks out."""

import pytest
from asgiref.sync import async_to_sync
from axes.models import AccessAttempt, AccessLog
from django.http import JsonResponse
from django.test import AsyncClient
from django.urls import include, path
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.testing import UserFactory
from tests.store.in_company.test_reads import NOBODY, is_of, rows_of

pytestmark = pytest.mark.django_db

OTP = "django_otp.middleware.OTPMiddleware"


async def averified(request):
    user = await request.auser()
    return JsonResponse({"user": user.get_username() or None, "is_verified": user.is_verified()})


urlpatterns = [path("averified/", averified), path("", include("tests.company.urls"))]


@pytest.fixture
def device(user, between):
    between(OTP)
    return TOTPDevice.objects.create(user=user, name="phone")


def credentials(user, password="password", **more):
    return {"username": user.get_username(), "password": password, **more}


def token_of(device):
    return f"{TOTP(device.bin_key).token():06d}"


def sign_in_by_token(browser, user, device):
    data = credentials(user, otp_device=device.persistent_id, otp_token=token_of(device))
    response = browser.post("otp-login/", data)
    assert response.status_code == 302, response.content.decode()[:2000]


# django-otp


def test_a_device_that_was_used_is_known_to_the_view(browser, user, engine, device):
    sign_in_by_token(browser, user, device)
    seen = browser.seen("verified/")
    assert seen == {"user": user.get_username(), "is_verified": True, "device": "phone"}
    assert is_of(browser.seen(), user, rows_of(user).active().get())


@pytest.mark.urls("tests.company.test_otp_and_axes")
def test_a_device_that_was_used_is_known_to_an_async_view(browser, user, engine, device):
    sign_in_by_token(browser, user, device)
    client = AsyncClient()
    client.cookies = browser.client.cookies
    get = async_to_sync(client.get)
    assert get("/averified/").json() == {"user": user.get_username(), "is_verified": True}
    rows_of(user).revoke("stolen")
    assert get("/averified/").json() == {"user": None, "is_verified": False}


def test_a_login_without_the_device_is_not_verified(browser, user, engine, device):
    browser.log_in(user)
    assert browser.seen("verified/") == {"user": user.get_username(), "is_verified": False, "device": None}


def test_a_wrong_token_starts_no_row(browser, user, engine, device):
    wrong = f"{(int(token_of(device)) + 1) % 10**6:06d}"
    data = credentials(user, otp_device=device.persistent_id, otp_token=wrong)
    assert browser.post("otp-login/", data).status_code == 200
    assert not UserSession.objects.exists()


def test_a_revoke_ends_the_login_and_its_device(browser, another, user, engine, device):
    sign_in_by_token(browser, user, device)
    other = another()
    other.log_in(user)
    rows_of(user).filter(pk=browser.seen()["row"]).revoke("stolen")
    assert browser.seen("verified/") == {"user": None, "is_verified": False, "device": None}
    assert browser.seen() == NOBODY
    assert other.seen("verified/")["user"] == user.get_username()


def test_a_device_of_somebody_else_verifies_nobody(browser, another, user, engine, device):
    sign_in_by_token(browser, user, device)
    other = UserFactory()
    thief = another()
    session = thief.log_in(other)
    store = thief.client.session
    store["otp_device_id"] = device.persistent_id
    store.save()
    assert thief.seen("verified/")["is_verified"] is False
    assert is_of(thief.seen(), other, session)


# django-axes


def test_a_login_goes_through_and_is_logged(browser, user, engine, axes):
    assert browser.post("password-login/", credentials(user)).status_code == 302
    assert is_of(browser.seen(), user, rows_of(user).active().get())
    logged = AccessLog.objects.get()
    assert (logged.username, logged.ip_address) == (user.get_username(), "127.0.0.1")
    assert browser.get("logout/").status_code == 200
    assert AccessLog.objects.get().logout_time is not None
    assert rows_of(user).get().revoked_reason == RevokedReason.LOGOUT


def test_failures_lock_out_and_start_no_row(browser, user, engine, axes):
    answers = [browser.post("password-login/", credentials(user, "wrong")).status_code for _ in range(3)]
    assert answers == [200, 200, 429]
    attempt = AccessAttempt.objects.get()
    assert (attempt.username, attempt.failures_since_start) == (user.get_username(), 3)
    assert browser.post("password-login/", credentials(user)).status_code == 429
    assert browser.seen()["user"] is None
    assert not UserSession.objects.exists()


def test_a_lock_out_leaves_who_is_signed_in(browser, another, user, engine, axes):
    session = browser.log_in(user)
    thief = another()
    for _ in range(4):
        thief.post("password-login/", credentials(user, "wrong"))
    assert thief.post("password-login/", credentials(user)).status_code == 429
    assert is_of(browser.seen(), user, session)
    rows_of(user).revoke("stolen")
    assert browser.seen() == NOBODY
    assert browser.post("password-login/", credentials(user)).status_code == 429


def test_a_denied_login_is_no_failure(browser, another, user, engine, axes, settings):
    """The limit is not about the password: it must lock nobody out."""
    settings.SESSIONS_EXT = {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}
    session = another().log_in(user)
    for _ in range(4):
        assert browser.post("password-login/", credentials(user)).status_code == 403
    assert not AccessAttempt.objects.exists()
    rows_of(user).filter(pk=session.pk).revoke("lost")
    assert browser.post("password-login/", credentials(user)).status_code == 302
    assert browser.seen()["user"] == user.get_username()
