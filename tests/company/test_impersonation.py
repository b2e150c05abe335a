"""django-hijack, django-loginas and django-impersonate: staff who act as a customer, and stop."""

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.core.checks import run_checks

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.testing import UserFactory
from tests.new_device.signing_in import wait
from tests.store.in_company.test_reads import NOBODY, is_of, rows_of

pytestmark = pytest.mark.django_db

HIJACK = "hijack.middleware.HijackUserMiddleware"
IMPERSONATE = "impersonate.middleware.ImpersonateMiddleware"


class Hijack:
    middleware = (HIJACK,)
    impersonator = "sessions_ext.impersonation.hijack"

    @staticmethod
    def acquire(browser, user):
        return browser.post("hijack/acquire/", {"user_pk": user.pk})

    @staticmethod
    def release(browser):
        return browser.post("hijack/release/")


class LoginAs:
    middleware = ()
    impersonator = "sessions_ext.impersonation.loginas"

    @staticmethod
    def acquire(browser, user):
        return browser.post(f"loginas/login/user/{user.pk}/")

    @staticmethod
    def release(browser):
        return browser.get("loginas/logout/")


TOOLS = [Hijack, LoginAs]


@pytest.fixture(params=TOOLS, ids=lambda tool: tool.__name__.lower())
def tool(request, between):
    between(*request.param.middleware)
    return request.param


@pytest.fixture
def staff(db):
    return UserFactory(is_staff=True, is_superuser=True)


@pytest.fixture
def customer(another, user):
    """The browser of the customer, whom the staff act as."""
    user.email = "customer@example.com"
    user.save()
    customer = another()
    customer.session = customer.log_in(user, user_agent="the customer's")
    return customer


def acquire(tool, browser, user):
    response = tool.acquire(browser, user)
    assert response.status_code == 302, response.content.decode()[:2000]


def release(tool, browser):
    response = tool.release(browser)
    assert response.status_code == 302, response.content.decode()[:2000]


# What each of them does without a word to the app


def test_staff_act_as_the_customer_and_come_back(browser, customer, staff, user, engine, tool):
    browser.log_in(staff)
    acquire(tool, browser, user)
    seen = browser.seen()
    assert is_of(seen, user, UserSession.objects.get(pk=seen["row"]))
    assert seen["row"] != str(customer.session.pk)
    release(tool, browser)
    seen = browser.seen()
    assert is_of(seen, staff, rows_of(staff).active().get())
    assert not rows_of(user).active().exclude(pk=customer.session.pk).exists()
    assert is_of(customer.seen(), user, customer.session)


def test_the_customers_row_is_not_touched_by_it(browser, customer, staff, user, engine, tool):
    before = UserSession.objects.filter(pk=customer.session.pk).values().get()
    browser.log_in(staff)
    acquire(tool, browser, user)
    browser.seen()
    release(tool, browser)
    assert UserSession.objects.filter(pk=customer.session.pk).values().get() == before


def test_a_page_says_that_somebody_is_hijacked(browser, staff, user, engine, between):
    """The middleware of django-hijack copies the user that it finds, and marks the copy."""
    between(HIJACK)
    browser.log_in(staff)
    acquire(Hijack, browser, user)
    body = browser.get("html/").content.decode()
    assert f"<body>{user.get_username()}" in body
    assert "hijack" in body
    release(Hijack, browser)
    assert browser.get("html/").content.decode() == f"<html><body>{staff.get_username()}</body></html>"


def test_a_revoke_of_the_acting_session_ends_the_acting(browser, customer, staff, user, engine, tool):
    browser.log_in(staff)
    acquire(tool, browser, user)
    assert rows_of(user).exclude(pk=customer.session.pk).revoke("enough") == 1
    assert browser.seen() == NOBODY
    assert is_of(customer.seen(), user, customer.session)


def test_a_customer_who_logs_out_does_not_end_the_acting(browser, customer, staff, user, engine, tool):
    browser.log_in(staff)
    acquire(tool, browser, user)
    customer.get("logout/")
    assert browser.seen()["user"] == user.get_username()
    release(tool, browser)
    assert browser.seen()["user"] == staff.get_username()


# django-impersonate replaces request.user and leaves the session with its owner


@pytest.fixture
def impersonated(browser, customer, staff, user, between):
    between(IMPERSONATE)
    session = browser.log_in(staff)
    assert browser.get(f"impersonate/{user.pk}/").status_code == 302
    return session


def test_staff_impersonate_and_stop(browser, customer, staff, user, engine, impersonated):
    seen = browser.seen()
    assert seen["user"] == user.get_username()
    assert seen["row"] == str(impersonated.pk)
    assert browser.get("impersonate/stop/").status_code == 302
    assert is_of(browser.seen(), staff, impersonated)
    assert is_of(customer.seen(), user, customer.session)
    assert UserSession.objects.active().count() == 2


def test_a_revoke_of_the_staff_ends_the_impersonation(browser, customer, staff, user, engine, impersonated):
    assert browser.seen()["user"] == user.get_username()
    rows_of(staff).revoke("enough")
    assert browser.seen() == NOBODY
    assert is_of(customer.seen(), user, customer.session)


def test_a_revoke_of_the_customer_leaves_the_impersonation(
    browser, customer, staff, user, engine, impersonated
):
    rows_of(user).revoke("enough")
    assert browser.seen()["user"] == user.get_username()
    assert customer.seen() == NOBODY


def test_the_page_of_devices_is_the_customers_alone(browser, customer, staff, user, engine, impersonated):
    """F33"""
    page = browser.get("devices/").content.decode()
    assert f"sx-{customer.session.pk}" in page
    assert str(impersonated.pk) not in page
    assert "This device" not in page
    assert browser.post(f"devices/{impersonated.pk}/sign-out/").status_code == 404
    assert browser.get("impersonate/stop/").status_code == 302
    assert f"sx-{impersonated.pk}" in browser.get("devices/").content.decode()


def test_the_api_lets_nobody_in_by_a_cookie_of_somebody_else(browser, impersonated):
    assert browser.get("let-in/").json() == {"is_let_in": False}
    assert browser.get("impersonate/stop/").status_code == 302
    assert browser.get("let-in/").json() == {"is_let_in": True}


# What the app makes of it when it is told who acts: IMPERSONATOR


@pytest.fixture
def told(settings, tool):
    """At a limit of 1, with the mail on."""
    settings.SESSIONS_EXT = {
        "IMPERSONATOR": tool.impersonator,
        "MAX_SESSIONS": 1,
        "NEW_DEVICE_EMAIL": True,
        "TOUCH_INTERVAL": 0,
    }
    return tool


def test_impersonation_evicts_and_alarms_nobody(
    browser, customer, staff, user, engine, told, django_capture_on_commit_callbacks
):
    before = UserSession.objects.filter(pk=customer.session.pk).values().get()
    browser.log_in(staff)
    mail.outbox.clear()
    with django_capture_on_commit_callbacks(execute=True):
        acquire(told, browser, user)
        browser.seen()
        release(told, browser)
    wait()
    assert UserSession.objects.filter(pk=customer.session.pk).values().get() == before
    assert not [message for message in mail.outbox if user.email in message.to]
    assert is_of(customer.seen(), user, customer.session)


def test_impersonation_is_let_in_where_the_limit_denies(
    browser, customer, staff, user, engine, told, settings
):
    settings.SESSIONS_EXT = {**django_settings.SESSIONS_EXT, "ON_LIMIT": "deny"}
    browser.log_in(staff)
    acquire(told, browser, user)
    assert browser.seen()["user"] == user.get_username()


def test_impersonation_takes_up_no_place_of_the_customers(browser, another, staff, user, engine, told):
    browser.log_in(staff)
    acquire(told, browser, user)
    session = another().log_in(user)
    session.refresh_from_db()
    assert session.is_active
    assert browser.seen()["user"] == user.get_username()


def test_impersonation_names_who_acts(browser, customer, staff, user, engine, told):
    browser.log_in(staff)
    acquire(told, browser, user)
    acting = UserSession.objects.get(pk=browser.seen()["row"])
    assert (acting.user, acting.impersonator) == (user, staff)
    customer.session.refresh_from_db()
    assert customer.session.impersonator is None


@pytest.mark.parametrize("policy", ["revoke_oldest", "revoke_idlest", "deny"])
@pytest.mark.parametrize("end", ["release", "by the customer", "by the staff"])
def test_nothing_of_the_customers_changes_whoever_ends_it(
    browser, another, customer, staff, user, told, settings, policy, end, django_capture_on_commit_callbacks
):
    """F33"""
    settings.SESSIONS_EXT = {**django_settings.SESSIONS_EXT, "ON_LIMIT": policy}
    before = UserSession.objects.filter(pk=customer.session.pk).values().get()
    browser.log_in(staff)
    mail.outbox.clear()
    with django_capture_on_commit_callbacks(execute=True):
        acquire(told, browser, user)
        acting = UserSession.objects.get(pk=browser.seen()["row"])
        if end == "release":
            release(told, browser)
            assert is_of(browser.seen(), staff, rows_of(staff).active().get())
        else:
            ends = (
                rows_of(user).exclude(pk=customer.session.pk) if end == "by the customer" else rows_of(staff)
            )
            ends.active().revoke(RevokedReason.USER)
            assert browser.seen() == NOBODY
    wait()
    acting.refresh_from_db()
    assert not acting.is_active
    assert UserSession.objects.filter(pk=customer.session.pk).values().get() == before
    assert not [message for message in mail.outbox if user.email in message.to]
    assert is_of(customer.seen(), user, customer.session)


def test_staff_who_come_back_have_a_session_that_is_theirs(browser, customer, staff, user, engine, told):
    browser.log_in(staff)
    acquire(told, browser, user)
    release(told, browser)
    own = rows_of(staff).active().get()
    assert own.impersonator is None
    assert is_of(browser.seen(), staff, own)
    assert own.authenticated_at < own.created_at  # to come back proves nothing


def test_it_is_told_that_nobody_says_who_acts(settings):
    def found():
        return [one for one in run_checks(tags=["sessions_ext"]) if one.id == "sessions_ext.W012"]

    (message,) = found()
    assert "With hijack and loginas" in message.msg
    settings.SESSIONS_EXT = {"IMPERSONATOR": "sessions_ext.impersonation.hijack"}
    assert found() == []


@pytest.mark.parametrize("end", ["all of theirs", "password", "disabled"])
def test_impersonation_ends_with_the_sessions_of_who_acts(
    browser, another, customer, staff, user, engine, told, settings, end
):
    settings.SESSIONS_EXT = {**django_settings.SESSIONS_EXT, "MAX_SESSIONS": None}
    another().log_in(staff)
    browser.log_in(staff)
    acquire(told, browser, user)
    if end == "all of theirs":
        rows_of(staff).revoke(RevokedReason.ADMIN)
    elif end == "password":
        staff.set_password("another")
        staff.save()
    else:
        staff.is_active = False
        staff.save()
    assert browser.seen() == NOBODY
    assert is_of(customer.seen(), user, customer.session)
