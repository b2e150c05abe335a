"""Fresh logins beside allauth, django-otp, django-axes and django-impersonate."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.core import mail
from django.http import HttpResponse
from django.urls import NoReverseMatch, include, path, reverse

from sessions_ext.models import UserSession
from sessions_ext.step_up import fresh_login_required, is_fresh
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.company.conftest import through
from tests.company.test_allauth import PERSON, App, code_of, sign_in_at
from tests.company.test_otp_and_axes import credentials
from tests.store.in_company.test_reads import is_of, rows_of
from tests.views.conftest import long_ago

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@fresh_login_required
def secret(request):
    return HttpResponse("secret")


def fresh(request):
    return HttpResponse(str(is_fresh(request)))


urlpatterns = [path("secret/", secret), path("fresh/", fresh), path("", include("tests.company.urls"))]

ALLAUTH = "sessions_ext.login_hooks.allauth_reauthentication"
OTHERS = "devices/sign-out-others/"


@pytest.fixture(autouse=True)
def _elsewhere(settings):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": ALLAUTH}


def follow(browser, response):
    """Where a chain of redirects of this site ends: the path, and the answer. It must not be a circle."""
    for _ in range(6):
        if response.status_code != 302 or not response.url.startswith("/"):
            return response
        url = response.url
        response = browser.get(url.removeprefix("/"))
        response.at = url
    raise AssertionError("this goes round in circles")


def without_password(user):
    user.set_unusable_password()
    user.save()
    return user


def stale(browser, user):
    session = browser.log_in(user)
    long_ago(session)
    return session


def stale_at(provider, browser):
    """Who signed in at the provider alone, a while ago."""
    provider.person = PERSON
    sign_in_at(provider, browser)
    user = get_user_model().objects.get()
    long_ago(rows_of(user).get())
    return user


def is_signed_out(session):
    session.refresh_from_db()
    return not session.is_active


# allauth


def test_a_second_factor_alone_confirms_and_one_comes_back(browser, user, engine, later):
    secret_of_totp = generate_totp_secret()
    TOTP.activate(without_password(user), secret_of_totp)
    here, there = stale(browser, user), UserSessionFactory(user=user)
    page = follow(browser, browser.get("secret/"))
    assert page.status_code == 200
    assert urlsplit(page.at).path == "/accounts/2fa/reauthenticate/"
    form = {"next": parse_qs(urlsplit(page.at).query)["next"][0], "code": code_of(secret_of_totp)}
    page = follow(browser, browser.post(page.at.removeprefix("/"), form))
    assert page.content == b"secret"
    assert is_of(browser.seen(), user, here)
    assert browser.post(OTHERS).url == "/devices/"
    assert is_signed_out(there)


def test_a_wrong_code_confirms_nothing(browser, user, engine):
    TOTP.activate(without_password(user), generate_totp_secret())
    stale(browser, user)
    page = follow(browser, browser.get("secret/"))
    assert browser.post(page.at.removeprefix("/"), {"code": "000000"}).status_code == 200
    assert browser.get("fresh/").content == b"False"


def test_allauths_own_page_for_the_password_counts(browser, user, engine):
    here, there = stale(browser, user), UserSessionFactory(user=user)
    cookie = browser.cookie
    assert browser.post("accounts/reauthenticate/", {"password": "wrong"}).status_code == 200
    assert browser.get("fresh/").content == b"False"
    answer = browser.post("accounts/reauthenticate/?next=/secret/", {"password": "password"})
    assert follow(browser, answer).content == b"secret"
    assert browser.cookie != cookie
    assert is_of(browser.seen(), user, here)
    browser.post(OTHERS)
    assert is_signed_out(there)


@pytest.fixture
def without_codes(settings):
    """From 65.22 on allauth can send a code by e-mail."""
    settings.ACCOUNT_REAUTHENTICATION_METHODS = ["password", "mfa"]


def test_a_code_by_e_mail_confirms_where_allauth_sends_one(browser, engine, provider):
    try:
        reverse("account_request_reauthentication_code")
    except NoReverseMatch:
        pytest.skip("allauth sends codes from 65.22 on")
    stale_at(provider, browser)
    page = follow(browser, browser.get("secret/"))
    form = {"recipient": PERSON["email"], "next": parse_qs(urlsplit(page.at).query)["next"][0]}
    page = follow(browser, browser.post(page.at.removeprefix("/"), form))
    assert browser.get("fresh/").content == b"False"
    (code,) = re.findall(r"^[A-Z0-9]{2,}(?:-[A-Z0-9]+)*$", mail.outbox[-1].body, re.MULTILINE)
    answer = browser.post(page.at.removeprefix("/"), {"code": code, "next": form["next"]})
    assert follow(browser, answer).content == b"secret"
    assert browser.get("fresh/").content == b"True"


@pytest.mark.usefixtures("without_codes")
def test_a_social_account_alone_signs_in_again_and_comes_back(browser, another, engine, provider):
    provider.person = PERSON
    other = another()
    for each in (browser, other):
        sign_in_at(provider, each)
    ada = get_user_model().objects.get()
    there = rows_of(ada).get(pk=other.seen()["row"])
    long_ago(rows_of(ada).get(pk=browser.seen()["row"]))
    answer = follow(browser, browser.get("secret/"))
    assert len(provider.visits) == 2
    assert follow(browser, browser.get(through(provider, answer))).content == b"secret"
    assert provider.visits[-1]["prompt"] == "login"
    browser.post(OTHERS)
    assert is_signed_out(there)
    assert browser.seen()["user"] == ada.get_username()


@pytest.mark.usefixtures("without_codes")
def test_the_list_goes_there_too_and_one_signs_the_others_out_after_it(browser, engine, provider):
    ada = stale_at(provider, browser)
    there = UserSessionFactory(user=ada)
    answer = follow(browser, browser.post(OTHERS))
    assert not is_signed_out(there)
    assert browser.get(through(provider, answer)).url == "/devices/"
    browser.post(OTHERS)
    assert is_signed_out(there)


@pytest.mark.usefixtures("without_codes")
def test_somebody_else_at_the_provider_is_not_the_one_who_was_asked(browser, engine, provider):
    ada = stale_at(provider, browser)
    answer = follow(browser, browser.get("secret/"))
    provider.person = PERSON | {"sub": "2", "email": "bob@example.com", "preferred_username": "bob"}
    page = follow(browser, browser.get(through(provider, answer)))
    assert page.content != b"secret"
    assert browser.seen()["user"] == "bob"
    assert not rows_of(ada).active().exists()


def test_who_has_neither_is_sent_to_sign_in(browser, user, engine):
    stale(browser, without_password(user))
    page = browser.get("secret/")
    assert browser.get(page.url.removeprefix("/")).url.startswith("/accounts/login/?next=")


def test_the_headless_api_confirms_for_an_app_whose_token_stays(another, user, engine):
    app = App(another())
    app.log_in(user)
    session = rows_of(user).get()
    long_ago(session)
    before = UserSession.objects.get(pk=session.pk).authenticated_at
    assert app.ask("post", "auth/reauthenticate", {"password": "wrong"}).status_code == 400
    assert UserSession.objects.get(pk=session.pk).authenticated_at == before
    assert app.ask("post", "auth/reauthenticate", {"password": "password"}).status_code == 200
    assert UserSession.objects.get(pk=session.pk).is_fresh()
    assert app.username == user.get_username()
    assert rows_of(user).count() == 1


# django-axes


def test_axes_counts_the_prompt_and_locks_who_guesses(browser, user, engine, axes):
    stale(browser, user)
    there = UserSessionFactory(user=user)
    answers = [browser.post(OTHERS, {"password": "wrong"}).status_code for _ in range(3)]
    assert answers == [200, 200, 429]
    attempt = AccessAttempt.objects.get()
    assert (attempt.username, attempt.failures_since_start) == (user.get_username(), 3)
    assert browser.post(OTHERS, {"password": "password"}).status_code == 429
    assert not is_signed_out(there)
    assert browser.post("password-login/", credentials(user)).status_code == 429


def test_a_right_password_at_the_prompt_is_no_failure(browser, user, engine, axes):
    stale(browser, user)
    browser.post(OTHERS, {"password": "password"})
    assert not AccessAttempt.objects.exists()


# django-impersonate


def test_who_acts_by_django_impersonate_is_not_fresh_as_the_customer(browser, user, engine, between):
    between("impersonate.middleware.ImpersonateMiddleware")
    staff = UserFactory(is_staff=True, is_superuser=True)
    browser.log_in(staff)
    there = UserSessionFactory(user=user)
    assert browser.get("secret/").content == b"secret"
    browser.get(f"impersonate/{user.pk}/")
    assert browser.seen()["user"] == user.get_username()
    assert browser.get("secret/").status_code == 403
    assert browser.get("devices/confirm/").status_code == 403
    assert browser.post(OTHERS, {"password": "password"}).status_code == 403
    assert not is_signed_out(there)
