"""The API's login where django-otp or allauth has a second factor: the hooks that are ready for them."""

import time

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core import mail
from django.core.checks import run_checks
from django.test import Client
from django.urls import include, path
from django_otp import oath
from django_otp.plugins.otp_email.models import EmailDevice
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from ninja import NinjaAPI

from sessions_ext.api import login_router
from sessions_ext.models import UserSession

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

api = NinjaAPI(urls_namespace="second-factor")
api.add_router("", login_router)
urlpatterns = [path("api/", api.urls), path("", include("tests.company.urls"))]


def knock(user, **more):
    """The status of a login, its code, and what it asks for."""
    body = {"username": user.get_username(), "password": "password", **more}
    answer = Client().post("/api/sessions", body, "application/json")
    told = answer.json()
    return (answer.status_code, told.get("code"), told.get("methods"))


SIGNED_IN = (201, None, None)


def asked_for(*methods):
    return (401, "second_factor_required", list(methods))


@pytest.fixture
def otp(settings):
    settings.SESSIONS_EXT = {"LOGIN_HOOK": "sessions_ext.login_hooks.django_otp"}


@pytest.fixture
def allauth(settings):
    settings.SESSIONS_EXT = {"LOGIN_HOOK": "sessions_ext.login_hooks.allauth"}


# django-otp


def test_without_a_device_the_password_does(user, otp):
    TOTPDevice.objects.create(user=user, confirmed=False)
    assert knock(user) == SIGNED_IN


def test_a_device_is_asked_for_its_token(user, otp):
    device = TOTPDevice.objects.create(user=user)
    token = f"{oath.TOTP(device.bin_key).token():06d}"
    assert knock(user) == asked_for("totp")
    assert knock(user, code=token) == SIGNED_IN
    assert knock(user, code=token) == asked_for("totp")  # it is good once
    assert UserSession.objects.count() == 1


def test_wrong_tokens_are_throttled(user, otp, later):
    """For a second after the first."""
    device = TOTPDevice.objects.create(user=user)
    token = oath.TOTP(device.bin_key).token()
    assert knock(user, code=f"{(token + 1000) % 10**6:06d}") == asked_for("totp")
    assert knock(user, code=f"{token:06d}") == asked_for("totp")
    device.refresh_from_db()
    assert device.throttling_failure_count == 1


def test_any_of_several_devices_does(user, otp):
    TOTPDevice.objects.create(user=user)
    StaticDevice.objects.create(user=user).token_set.create(token="recover")
    assert knock(user) == asked_for("static", "totp")
    assert knock(user, code="recover") == SIGNED_IN
    assert knock(user, code="recover") == asked_for("static", "totp")


def test_a_device_that_sends_its_token_is_told_to(user, otp):
    EmailDevice.objects.create(user=user, email="ada@example.com")
    assert knock(user) == asked_for("email")
    (message,) = mail.outbox
    assert message.to == ["ada@example.com"]
    assert knock(user, code=message.body.strip()) == SIGNED_IN
    assert len(mail.outbox) == 1


def test_the_browsers_session_is_left_alone(user, otp):
    device = TOTPDevice.objects.create(user=user)
    browser = Client()
    body = {
        "username": user.get_username(),
        "password": "password",
        "code": f"{oath.TOTP(device.bin_key).token():06d}",
    }
    answer = browser.post("/api/sessions", body, "application/json")
    assert answer.status_code == 201
    assert not answer.cookies


# allauth


def code_of(secret):
    """Good until the next half minute begins, for which reason the clock stands still (`later`)."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


@pytest.fixture
def secret(user, later):
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def test_without_an_authenticator_the_password_does_for_allauth(user, allauth):
    assert knock(user) == SIGNED_IN


def test_an_authenticator_of_allauth_is_asked_for_its_code(user, allauth, secret):
    code = code_of(secret)
    assert knock(user) == asked_for("totp")
    assert knock(user, code=f"{(int(code) + 1000) % 10**6:06d}") == asked_for("totp")
    assert knock(user, code=code) == SIGNED_IN
    assert knock(user, code=code) == asked_for("totp")  # it is good once
    assert Authenticator.objects.get().last_used_at is not None
    assert UserSession.objects.count() == 1


def test_a_recovery_code_does_once(user, allauth, secret):
    (code, *_) = RecoveryCodes.activate(user).get_unused_codes()
    assert knock(user) == asked_for("recovery_codes", "totp")
    assert knock(user, code=code) == SIGNED_IN
    assert knock(user, code=code) == asked_for("recovery_codes", "totp")


def test_attempts_at_the_code_are_limited(user, allauth, secret, settings):
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "2/m/key"}
    wrong = f"{(int(code_of(secret)) + 1000) % 10**6:06d}"
    for _ in range(2):
        assert knock(user, code=wrong) == asked_for("totp")
    assert knock(user, code=code_of(secret)) == asked_for("totp")
    assert not UserSession.objects.exists()


def test_an_address_that_has_to_be_verified_is(user, allauth, settings):
    address = EmailAddress.objects.create(user=user, email="ada@example.com", primary=True)
    assert knock(user) == SIGNED_IN
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    assert knock(user) == (403, "login_denied", None)
    address.verified = True
    address.save()
    assert knock(user) == SIGNED_IN


def test_without_allauths_second_factors_its_hook_asks_for_the_address_alone(user, allauth, settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "allauth.mfa"]
    assert knock(user) == SIGNED_IN


def test_without_allauths_accounts_its_hook_asks_nothing(user, allauth, settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if not app.startswith("allauth")]
    assert knock(user) == SIGNED_IN


# The check


def warnings():
    return [one for one in run_checks(tags=["sessions_ext"]) if one.id == "sessions_ext.W009"]


def test_the_check_names_what_the_site_has_and_the_hook(settings):
    settings.ROOT_URLCONF = __name__
    (warning,) = warnings()
    assert "allauth.mfa and django_otp" in warning.msg
    assert "'sessions_ext.login_hooks.allauth'" in warning.hint
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "allauth.mfa"]
    (warning,) = warnings()
    assert "'sessions_ext.login_hooks.django_otp'" in warning.hint
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "django_otp" not in app]
    assert warnings() == []
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    (warning,) = warnings()
    assert "ACCOUNT_EMAIL_VERIFICATION" in warning.msg
    settings.SESSIONS_EXT = {"LOGIN_HOOK": "sessions_ext.login_hooks.allauth"}
    assert warnings() == []
