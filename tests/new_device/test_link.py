"""The link in the e-mail."""

import re
import sys
import types

import pytest
from django.apps import apps
from django.core import mail, signing
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.urls import include
from django.urls import path as route
from django.views.generic import View

from sessions_ext.mail import send_mail_about
from sessions_ext.models import UserSession
from sessions_ext.new_device import SALT, link_to_end
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.new_device.signing_in import AWAY, IPHONE, link_of, reason_of, sign_in, wait

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.user_model]


def test_the_link_asks_first_and_then_ends_that_session(user):
    mine = sign_in(user)
    theirs = sign_in(user, agent=IPHONE)
    path, anyone = link_of(mail.outbox[0]), Client()
    for _ in range(3):  # as a mail scanner does
        page = anyone.get(path)
        assert page.status_code == 200
        assert "Safari on iPhone" in page.content.decode()
    assert anyone.head(path).status_code == 200
    assert reason_of(theirs) == ""
    page = anyone.post(path).content.decode()
    assert "That device has been signed out" in page
    assert 'href="/reset/"' in page
    assert reason_of(theirs) == "not_me"
    assert reason_of(mine) == ""


def test_the_link_works_once(user):
    sign_in(user)
    session = sign_in(user, agent=IPHONE)
    path = link_of(mail.outbox[0])
    Client().post(path)
    ended_at = UserSession.objects.get(pk=session.pk).revoked_at
    for page in (Client().post(path), Client().get(path)):
        assert page.status_code == 200
        assert "has already ended" in page.content.decode()
        assert "<form" not in page.content.decode()
    session.refresh_from_db()
    assert session.revoked_at == ended_at


@pytest.mark.parametrize(("days", "status"), [(6.99, 200), (7.01, 410)])
def test_the_link_is_good_for_seven_days(user, later, days, status):
    sign_in(user)
    session = sign_in(user, agent=IPHONE)
    path = link_of(mail.outbox[0])
    later(days * 86400)
    assert Client().get(path).status_code == status
    assert Client().post(path).status_code == status
    assert reason_of(session) == ("not_me" if status == 200 else "")


def test_the_link_of_somebody_else_ends_only_theirs(user):
    """Whoever is logged in where it is opened keeps their session."""
    other = UserFactory()
    browser = Client()
    browser.post("/login/", {"username": other.get_username(), "password": "password"})
    sign_in(user)
    session = sign_in(user, agent=IPHONE)
    browser.post(link_of(mail.outbox[0]))
    assert reason_of(session) == "not_me"
    assert browser.get("/who/").content.decode() == other.get_username()
    assert UserSession.objects.for_user(other).active().count() == 1


def test_no_link_can_be_made_for_another_session(user):
    """Not by another key, nor for another purpose, nor by naming another user's session."""
    session, stranger = UserSessionFactory(user=user), UserFactory()
    value = session._meta.get_field("user").value_to_string(session)
    theirs = UserSession(user=stranger)._meta.get_field("user").value_to_string(UserSession(user=stranger))
    payload = [value, str(session.pk)]
    with override_settings(SECRET_KEY="another key that is long enough to be one"):
        foreign = signing.dumps(payload, salt=SALT)
    tokens = [
        foreign,
        signing.dumps(payload, salt="other"),
        "x",
        "a:b:c",
        signing.dumps([value], salt=SALT),
        signing.dumps([value, "no id"], salt=SALT),
        signing.dumps(payload, salt=SALT)[:-1],
    ]
    for token in tokens:
        for page in (Client().get(f"/devices/not-me/{token}/"), Client().post(f"/devices/not-me/{token}/")):
            assert page.status_code == 404
            assert "This link is not valid" in page.content.decode()
    swapped = signing.dumps([theirs, str(session.pk)], salt=SALT)
    assert "has already ended" in Client().post(f"/devices/not-me/{swapped}/").content.decode()
    assert reason_of(session) == ""


def test_the_link_of_a_deleted_session_says_that_it_ended(user):
    sign_in(user)
    session = sign_in(user, agent=IPHONE)
    UserSession.objects.filter(pk=session.pk).delete()
    path = link_of(mail.outbox[0])
    for page in (Client().get(path), Client().post(path)):
        assert "has already ended" in page.content.decode()


@pytest.mark.parametrize("middleware", [["django.middleware.csrf.CsrfViewMiddleware"], []])
def test_the_link_needs_its_csrf_token_and_no_login(user, settings, middleware):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        *middleware,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    sign_in_free = UserSessionFactory(user=user)
    path = link_to_end(sign_in_free, RequestFactory().get("/")).removeprefix("http://testserver")
    client = Client(enforce_csrf_checks=True)
    page = client.get(path).content.decode()
    assert client.post(path).status_code == 403
    assert reason_of(sign_in_free) == ""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    client.post(path, {"csrfmiddlewaretoken": token})
    assert reason_of(sign_in_free) == "not_me"


def test_the_address_of_the_link_stays_here(user):
    session = UserSessionFactory(user=user)
    path = link_to_end(session, RequestFactory().get("/")).removeprefix("http://testserver")
    page = Client().get(path)
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in page.headers["Cache-Control"]


def test_without_a_request_or_the_urls_there_is_no_link(user, settings):
    session = UserSessionFactory(user=user)
    assert link_to_end(session, None) == ""
    settings.ROOT_URLCONF = ()
    assert link_to_end(session, RequestFactory().get("/")) == ""
    send_mail_about(session, None)
    wait()
    assert "change your password" in mail.outbox[0].body
    assert "href" not in mail.outbox[0].alternatives[0][0]


@pytest.fixture
def current_site(monkeypatch):
    """Installs a django.contrib.sites whose current site is what the given function returns."""

    def install(get_current):
        module = types.ModuleType("django.contrib.sites.models")
        module.Site = types.SimpleNamespace(objects=types.SimpleNamespace(get_current=get_current))
        monkeypatch.setitem(sys.modules, "django.contrib.sites.models", module)
        is_installed = apps.is_installed
        monkeypatch.setattr(
            apps, "is_installed", lambda name: name == "django.contrib.sites" or is_installed(name)
        )

    return install


def test_where_a_project_has_sites_the_link_is_of_the_current_one(user, current_site):
    session = UserSessionFactory(user=user)
    current_site(lambda request: types.SimpleNamespace(domain="example.org"))
    assert link_to_end(session, None).startswith("https://example.org/devices/not-me/")
    assert link_to_end(session, RequestFactory().get("/")).startswith("http://example.org/devices/")


@pytest.mark.parametrize("error", [ImproperlyConfigured("SITE_ID"), ObjectDoesNotExist("no such Site")])
def test_sites_that_do_not_answer_cost_the_link_and_not_the_mail(user, current_site, error, caplog):
    def get_current(request):
        raise error

    current_site(get_current)
    sign_in(user)
    sign_in(user, agent=IPHONE)
    assert_sent_without_a_link(caplog)


def test_a_forged_host_costs_the_link_and_not_the_mail(user, caplog):
    """Or else whoever stole a password would choose whether its owner hears of it."""
    sign_in(user)
    client = Client(headers={"user-agent": IPHONE, "host": "elsewhere.example"}, REMOTE_ADDR=AWAY)
    client.post("/login/", {"username": user.get_username(), "password": "password"})
    wait()
    assert_sent_without_a_link(caplog)


def test_a_request_without_a_host_costs_the_link_and_not_the_mail(user, caplog):
    sign_in(user)
    UserSession.objects.start(user, request=HttpRequest())
    wait()
    assert_sent_without_a_link(caplog)


def assert_sent_without_a_link(caplog):
    (message,) = mail.outbox
    assert "not-me" not in message.body
    assert "change your password" in message.body
    (record,) = [record for record in caplog.records if record.name == "sessions_ext"]
    assert (record.levelname, "sending it without" in record.getMessage()) == ("WARNING", True)
    assert "not-me" not in caplog.text


def test_a_project_without_a_reset_page_offers_the_devices(user, settings):
    settings.ROOT_URLCONF = "tests.only_devices"
    page = page_of_used_link(user)
    assert "Reset your password" not in page
    assert 'href="/devices/"' in page


def test_a_project_with_allauth_offers_its_reset_page(user, settings):
    forgotten = route("forgotten/", View.as_view(), name="account_reset_password")
    settings.ROOT_URLCONF = (route("devices/", include("sessions_ext.urls")), forgotten)
    assert 'href="/forgotten/"' in page_of_used_link(user)


def page_of_used_link(user):
    session = UserSessionFactory(user=user)
    path = link_to_end(session, RequestFactory().get("/")).removeprefix("http://testserver")
    return Client().post(path).content.decode()
