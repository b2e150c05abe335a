"""Signing out and trusting, from the list."""

import re
from uuid import UUID

import pytest
from django.test import Client

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory, log_in
from tests.views.pages import LIST, OTHERS, reason_of, sign_out, text, trust

pytestmark = pytest.mark.django_db


# Sign out


def test_signing_out_one_leaves_the_others(client, here, there, user):
    bystander = UserSessionFactory(user=user)
    response = client.post(sign_out(there), follow=True)
    assert "That device has been signed out." in text(response)
    assert reason_of(there) == "user"
    assert here.is_active
    assert reason_of(bystander) == reason_of(here) == ""


def test_signing_out_here_is_a_logout(client, stale, there):
    response = client.post(sign_out(stale))
    assert response.url == "/login/"
    assert reason_of(stale) == "logout"
    assert reason_of(there) == ""
    assert client.get("/who/").content == b"nobody"


def test_signing_out_everywhere_else(client, here, there, user):
    older = UserSessionFactory(user=user)
    stranger = UserSessionFactory()
    page = text(client.post(OTHERS, follow=True))
    assert "2 other sessions have been signed out." in page
    assert [reason_of(each) for each in (here, there, older, stranger)] == ["", "user", "user", ""]


def test_one_that_has_ended_stays_as_it_is_and_needs_no_password(client, stale, there):
    UserSession.objects.filter(pk=there.pk).revoke("admin")
    response = client.post(sign_out(there), follow=True)
    assert "had already ended" in text(response)
    assert reason_of(there) == "admin"


@pytest.mark.parametrize("path", [sign_out, trust])
@pytest.mark.parametrize("whose", ["a stranger", "nobody"])
def test_a_foreign_id_is_as_unknown_as_one_that_never_was(client, stale, path, whose):
    """F14"""
    theirs = UserSessionFactory() if whose == "a stranger" else UserSession(pk=UUID(int=7))
    response = client.post(path(theirs), {"password": "password"})
    assert response.status_code == 404
    if whose == "a stranger":
        assert reason_of(theirs) == ""
        assert not theirs.is_trusted


@pytest.mark.parametrize("path", [sign_out, trust, lambda session: OTHERS])
def test_a_get_changes_nothing(client, here, there, path):
    assert client.get(path(there)).url == LIST
    assert reason_of(there) == ""
    assert not there.is_trusted


@pytest.mark.parametrize("middleware", [["django.middleware.csrf.CsrfViewMiddleware"], []])
@pytest.mark.parametrize("path", [sign_out, trust, lambda session: OTHERS])
def test_a_form_without_its_csrf_token_changes_nothing(user, there, settings, path, middleware):
    """F23, and in a project that has not the middleware too."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *middleware]
    client = Client(enforce_csrf_checks=True)
    log_in(client, user)
    assert client.post(path(there)).status_code == 403
    assert reason_of(there) == ""
    assert not there.is_trusted
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(LIST).content.decode())[1]
    assert client.post(path(there), {"csrfmiddlewaretoken": token}).status_code == 302
    assert reason_of(there) or there.is_trusted


@pytest.mark.parametrize("path", [sign_out, trust, lambda session: OTHERS])
def test_nobody_changes_nothing(client, there, path):
    assert client.post(path(there)).url.startswith("/login/")
    assert reason_of(there) == ""


def test_a_base_template_that_shows_messages_is_not_repeated(client, here, there, settings):
    [engine] = settings.TEMPLATES
    base = "{% for message in messages %}{{ message }}{% endfor %}{% block content %}{% endblock %}"
    loaders = [
        ("django.template.loaders.locmem.Loader", {"sessions_ext/base.html": base}),
        "django.template.loaders.app_directories.Loader",
    ]
    options = engine["OPTIONS"] | {"loaders": loaders}
    settings.TEMPLATES = [engine | {"APP_DIRS": False, "OPTIONS": options}]
    page = text(client.post(sign_out(there), follow=True))
    assert page.count("That device has been signed out.") == 1


def test_an_app_that_has_no_messages_still_signs_out(client, here, there, settings):
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "messages" not in each]
    assert client.post(sign_out(there)).url == LIST
    assert reason_of(there) == "user"


# Trust


def test_a_device_is_trusted_and_not_any_more(client, here, there):
    assert "Trusted" in text(client.post(trust(there), follow=True))
    there.refresh_from_db()
    here.refresh_from_db()
    assert (there.is_trusted, here.is_trusted) == (True, False)
    assert "no longer trust this device" in text(client.post(trust(there), {"trust": "no"}, follow=True))
    there.refresh_from_db()
    assert not there.is_trusted


def test_an_ended_session_is_not_trusted(client, here, there):
    UserSession.objects.filter(pk=there.pk).revoke("admin")
    assert client.post(trust(there)).status_code == 404
