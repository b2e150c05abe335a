"""mozilla-django-oidc: sign-in at a provider, and the silent refresh of it."""

from urllib.parse import parse_qs

import pytest
from django.contrib.auth import get_user_model

from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.testing import UserFactory
from tests.company.conftest import through
from tests.store.in_company import site
from tests.store.in_company.test_reads import NOBODY, is_of, rows_of

pytestmark = pytest.mark.django_db

PERSON = {"sub": "1", "email": "ada@example.com", "email_verified": True}
REFRESH = "mozilla_django_oidc.middleware.SessionRefresh"


@pytest.fixture(autouse=True)
def person(provider):
    provider.person = PERSON


def sign_in_at(provider, browser):
    return browser.get(through(provider, browser.get("oidc/authenticate/")))


def test_a_sign_in_at_the_provider_starts_a_row(browser, engine, provider):
    browser.get("put/?cart=book")
    assert sign_in_at(provider, browser).status_code == 302
    ada = get_user_model().objects.get(email="ada@example.com")
    seen = browser.seen()
    assert is_of(seen, ada, rows_of(ada).active().get())
    assert seen["data"]["cart"] == "book"


def test_a_sign_in_that_a_revoke_ended_is_nobodys_until_the_next(browser, engine, provider):
    sign_in_at(provider, browser)
    UserSession.objects.all().revoke("stolen")
    assert browser.seen() == NOBODY
    sign_in_at(provider, browser)
    ada = get_user_model().objects.get()
    assert is_of(browser.seen(), ada, rows_of(ada).active().get())


def test_a_revoke_while_the_browser_is_at_the_provider_stops_nobody(browser, engine, provider):
    sign_in_at(provider, browser)
    path = through(provider, browser.get("oidc/authenticate/"))
    UserSession.objects.all().revoke("stolen")
    assert browser.get(path).status_code < 500
    sign_in_at(provider, browser)
    assert UserSession.objects.active().count() == 1


def test_a_sign_in_as_somebody_else_ends_the_row_before(browser, engine, provider):
    before = browser.log_in(UserFactory(email="grace@example.com"))
    sign_in_at(provider, browser)
    before.refresh_from_db()
    assert not before.is_active
    ada = get_user_model().objects.get(email="ada@example.com")
    assert is_of(browser.seen(), ada, rows_of(ada).active().get())


def test_a_sign_out_ends_the_row(browser, engine, provider):
    sign_in_at(provider, browser)
    assert browser.post("oidc/logout/").status_code == 302
    assert UserSession.objects.get().revoked_reason == RevokedReason.LOGOUT
    assert browser.seen() == NOBODY


# The silent refresh


@pytest.fixture
def refreshed(browser, engine, provider, between, later):
    """A browser that was signed in a while ago, so that its next page goes by the provider."""
    between(REFRESH)
    sign_in_at(provider, browser)
    row = browser.seen()["row"]
    later(16 * 60)
    return UserSession.objects.get(pk=row)


def test_a_silent_refresh_keeps_the_row(browser, provider, refreshed, later):
    for number in range(3):
        response = browser.get("seen/")
        assert response.url.startswith(f"{provider.address}/authorize")
        assert browser.get(through(provider, response)).status_code == 302
        assert provider.visits[-1]["prompt"] == "none"
        assert is_of(browser.seen(), refreshed.user, refreshed), number
        later(16 * 60)
    assert UserSession.objects.count() == 1


def test_a_silent_refresh_does_not_sign_out_a_slow_page(browser, provider, refreshed, monkeypatch):
    """The page has begun before the refresh, and answers after it."""
    path = through(provider, browser.get("seen/"))
    tab = browser.same_in_sync()
    monkeypatch.setattr(site.meanwhile, "act", lambda: tab.get(path))
    assert browser.post("slow/?first=user&then=write").status_code == 200
    # By POST, which is not refreshed: the slow page has written back when the next refresh is due.
    assert is_of(browser.post("seen/").json(), refreshed.user, refreshed)
    assert UserSession.objects.count() == 1


def test_a_revoked_browser_is_not_refreshed(browser, provider, refreshed):
    UserSession.objects.all().revoke("stolen")
    assert browser.seen() == NOBODY


def test_a_refresh_that_the_provider_refuses_ends_the_row(browser, provider, refreshed):
    response = browser.get("seen/")
    state = parse_qs(response.url.partition("?")[2])["state"][0]
    browser.get(f"oidc/callback/?error=login_required&state={state}")
    refreshed.refresh_from_db()
    assert refreshed.revoked_reason == RevokedReason.LOGOUT
    assert browser.seen() == NOBODY
