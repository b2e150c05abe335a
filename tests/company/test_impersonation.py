"""django-hijack, django-loginas and django-impersonate: staff who act as a customer, and stop."""

import pytest

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
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
