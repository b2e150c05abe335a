"""The e-mail about a sign-in from a new device, and its link."""

import os
import re
import socket
import subprocess
import sys
import threading
import types
from datetime import timedelta

import django
import pytest
from django.apps import apps
from django.core import mail, signing
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.urls import include
from django.urls import path as route
from django.utils import timezone, translation
from django.utils.module_loading import import_string
from django.views.generic import View

from sessions_ext import new_device
from sessions_ext.models import UserSession
from sessions_ext.new_device import SALT, is_new_device, link_to_end, send_mail_about
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.1 Mobile/15E148 Safari/604.1"
)
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
HOME, NEXT_DOOR, AWAY = "203.0.113.7", "203.0.113.99", "198.51.100.7"
HOME6, NEXT6 = "2001:db8:0:1::7", "2001:db8:0:1:aaaa::1"


@pytest.fixture(autouse=True)
def _turned_on(settings):
    settings.SESSIONS_EXT = {"NEW_DEVICE_EMAIL": True}
    settings.ALLOWED_HOSTS = ["testserver", "example.com"]


@pytest.fixture
def user(transactional_db):
    user = UserFactory()
    if not getattr(user, "email", ""):
        user.email = "ada@example.com"
        user.save()
    return user


def sign_in(user, *, agent=LINUX, address=HOME):
    """From a browser without cookies; waits for the e-mail to be sent."""
    client = Client(headers={"user-agent": agent}, REMOTE_ADDR=address)
    response = client.post("/login/", {"username": user.get_username(), "password": "password"})
    assert response.content.decode() == user.get_username()
    wait()
    return UserSession.objects.for_user(user).newest_first().first()


def wait():
    for thread in threading.enumerate():
        if thread.name == "sessions_ext.new_device":
            thread.join(timeout=20)


def link_of(message):
    return re.search(r"http://testserver(/devices/not-me/\S+/)", message.body)[1]


def reason_of(session):
    session.refresh_from_db()
    return session.revoked_reason


# When it is sent


def test_the_very_first_session_is_no_news(user):
    sign_in(user)
    assert mail.outbox == []


@pytest.mark.parametrize(("first", "second"), [(HOME, HOME), (HOME, NEXT_DOOR), (HOME6, NEXT6)])
def test_the_same_device_again_is_no_news(user, first, second):
    sign_in(user, address=first)
    sign_in(user, address=second)
    assert mail.outbox == []


@pytest.mark.parametrize(
    "news", [{"agent": IPHONE}, {"address": AWAY}, {"address": HOME6}, {"agent": "something unknown"}]
)
def test_a_new_device_or_network_is_told_of_once(user, news):
    sign_in(user)
    sign_in(user, **news)
    (message,) = mail.outbox
    assert message.to == [user.email]
    sign_in(user, **news)
    assert len(mail.outbox) == 1


def test_the_mail_says_what_happened(user):
    sign_in(user)
    session = sign_in(user, agent=IPHONE, address=AWAY)
    UserSession.objects.filter(pk=session.pk).update(location="New York, US")
    (message,) = mail.outbox
    html, kind = message.alternatives[0]
    assert kind == "text/html"
    assert message.subject == "New sign-in from Safari on iPhone"
    for body in (message.body, html):
        assert "Safari on iPhone" in body
        assert AWAY in body
        assert f"{session.created_at:%Y}" in body
        assert link_of(message) in body


def test_it_is_off_by_default(user, settings):
    settings.SESSIONS_EXT = {}
    sign_in(user)
    sign_in(user, agent=IPHONE)
    assert mail.outbox == []


@pytest.mark.parametrize(("days", "told"), [(89, 0), (91, 1)])
def test_a_device_is_remembered_for_90_days(user, days, told):
    UserSessionFactory(user=user, created_at=timezone.now() - timedelta(days=days), ip_address=HOME, **KNOWN)
    sign_in(user)
    assert len(mail.outbox) == told


KNOWN = {"device_info": "Firefox on Linux"}


@pytest.mark.parametrize(("fields", "told"), [({}, 0), ({"is_trusted": False}, 1), ({"revoked": True}, 1)])
def test_a_trusted_device_is_known_as_long_as_its_session_lasts(user, fields, told):
    """Though it was not seen for longer than 90 days."""
    fields = {"is_trusted": True, **KNOWN, **fields}
    long_ago = timezone.now() - timedelta(days=200)
    soon = timezone.now() + timedelta(days=1)
    UserSessionFactory(user=user, created_at=long_ago, expires_at=soon, ip_address=HOME, **fields)
    sign_in(user)
    assert len(mail.outbox) == told


@pytest.mark.parametrize(("reason", "told"), [("user", 0), ("not_me", 1), ("suspicious", 1)])
def test_an_intruder_is_no_acquaintance(user, reason, told):
    """One whose session was ended as such is told of again."""
    UserSessionFactory(user=user, device_info="curl")
    session = UserSessionFactory(user=user, ip_address=HOME, **KNOWN)
    UserSession.objects.filter(pk=session.pk).revoke(reason)
    sign_in(user)
    assert len(mail.outbox) == told


@pytest.mark.parametrize(("fields", "told"), [({"revoked": True}, 1), ({}, 0)])
def test_a_session_that_was_revoked_vouches_only_for_where_it_signed_in(user, fields, told):
    """Whoever used its cookie last may have been the reason to revoke it."""
    UserSessionFactory(user=user, ip_address=AWAY, last_ip_address=HOME, **KNOWN, **fields)
    sign_in(user)
    assert len(mail.outbox) == told
    sign_in(user, address=AWAY)
    assert len(mail.outbox) == told


def test_of_two_at_once_from_a_new_device_one_is_told_of(user):
    now = timezone.now()
    UserSessionFactory(user=user, created_at=now - timedelta(days=1), device_info="curl")
    pair = [UserSessionFactory(user=user, created_at=now, ip_address=HOME, **KNOWN) for _ in range(2)]
    assert sorted(is_new_device(session) for session in pair) == [False, True]


def test_the_devices_of_others_are_not_ones_own(user):
    UserSessionFactory(ip_address=HOME, **KNOWN)
    UserSessionFactory(user=user, device_info="curl")
    sign_in(user)
    assert len(mail.outbox) == 1


def test_a_login_from_before_the_installation_is_no_sign_in(user, client):
    UserSessionFactory(user=user, device_info="curl")
    client.force_login(user)
    wait()
    mail.outbox.clear()
    session = client.session
    UserSession.objects.filter(pk=session.pop("_sessions_ext")).delete()
    session.save()
    assert client.get("/who/").content.decode() == user.get_username()
    wait()
    assert UserSession.objects.for_user(user).count() == 2
    assert mail.outbox == []


def test_a_user_without_an_address_gets_none(user):
    user.email = ""
    user.save()
    sign_in(user)
    sign_in(user, agent=IPHONE)
    assert mail.outbox == []


def test_it_costs_at_most_two_queries(user, django_assert_num_queries):
    sign_in(user)
    known, new = sign_in(user), sign_in(user, agent=IPHONE)
    with django_assert_num_queries(1):
        assert not is_new_device(known)
    with django_assert_num_queries(2):
        assert is_new_device(new)


def test_it_is_written_in_the_language_of_the_request(user, settings, tmp_path):
    folder = tmp_path / "sessions_ext"
    folder.mkdir()
    (folder / "new_device_subject.txt").write_text(
        "{% load i18n %}{% get_current_language as code %}{{ code }}\n{{ user.pk }}"
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    sign_in(user)
    session = sign_in(user, agent=IPHONE)
    mail.outbox.clear()
    with translation.override("de"):
        send_mail_about(session, None)
    wait()
    assert mail.outbox[0].subject == f"de {user.pk}"


def test_a_script_in_a_user_agent_is_text(user):
    """F15, and no header can be slipped into the mail."""
    sign_in(user)
    hostile = "<script>alert(1)</script>\nBcc: x@example.com"
    session = UserSessionFactory(user=user, device_info=hostile, location="<b>", ip_address=AWAY)
    send_mail_about(session, None)
    wait()
    (message,) = mail.outbox
    html = message.alternatives[0][0]
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\n" not in message.subject
    assert message.recipients() == [user.email]


# How it is sent


def by_smtp(settings, host, port):
    backend = "django.core.mail.backends.smtp.EmailBackend"
    if django.VERSION >= (6, 1):
        options = {"host": host, "port": port, "timeout": 2}
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
    else:
        settings.EMAIL_BACKEND = backend
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = host, port, 2


def test_a_mail_server_that_is_down_fails_no_login(user, settings, caplog):
    by_smtp(settings, "127.0.0.1", free_port())
    sign_in(user)
    sign_in(user, agent=IPHONE)
    (record,) = [record for record in caplog.records if record.name == "sessions_ext"]
    assert record.levelname == "ERROR"
    assert "could not send" in record.getMessage()
    assert record.exc_info[0] is ConnectionRefusedError
    assert "not-me" not in caplog.text


def test_a_mail_server_that_is_slow_does_not_hold_the_login_up(user, settings, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        by_smtp(settings, *silent.getsockname())
        sign_in(user)
        client = Client(headers={"user-agent": IPHONE}, REMOTE_ADDR=HOME)
        client.post("/login/", {"username": user.get_username(), "password": "password"})
        assert [thread.name for thread in threading.enumerate()].count("sessions_ext.new_device") == 1
        wait()
    assert "could not send" in caplog.text


def test_a_template_that_fails_fails_no_login(user, settings, tmp_path, caplog):
    (tmp_path / "sessions_ext").mkdir()
    (tmp_path / "sessions_ext" / "new_device_body.txt").write_text("{% nonsense %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    sign_in(user)
    sign_in(user, agent=IPHONE)
    assert mail.outbox == []
    assert "nonsense" in caplog.text


@pytest.mark.skipif(django.VERSION < (6, 0), reason="django.tasks came with Django 6.0")
def test_a_project_with_tasks_sends_it_in_one(user, settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}}
    sign_in(user)
    sign_in(user, agent=IPHONE)
    assert mail.outbox == []
    from django.tasks import task_backends

    (result,) = task_backends["default"].results
    import_string(result.task.module_path).call(*result.args, **result.kwargs)  # as a worker does
    assert mail.outbox[0].subject == "New sign-in from Safari on iPhone"
    assert "/not-me/" in mail.outbox[0].body


NO_USE = {
    "no default backend": {"mails": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}},
    "no default queue": {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend", "QUEUES": ["q"]}},
}


@pytest.mark.skipif(django.VERSION < (6, 0), reason="django.tasks came with Django 6.0")
@pytest.mark.parametrize("tasks", NO_USE.values(), ids=NO_USE)
def test_tasks_of_which_none_is_for_it_leave_it_to_the_thread(user, settings, tasks, caplog, monkeypatch):
    monkeypatch.delitem(sys.modules, "sessions_ext.tasks", raising=False)
    new_device._warn_once.cache_clear()
    settings.TASKS = tasks
    sign_in(user)
    for agent in (IPHONE, "curl/8.14.1"):
        sign_in(user, agent=agent)
    assert len(mail.outbox) == 2
    (record,) = [record for record in caplog.records if record.name == "sessions_ext"]
    assert record.levelname == "WARNING"
    assert "django.tasks" in record.getMessage()


@pytest.mark.skipif(django.VERSION < (6, 0), reason="django.tasks came with Django 6.0")
@pytest.mark.parametrize("tasks", NO_USE.values(), ids=NO_USE)
def test_a_project_whose_tasks_are_of_other_names_starts(tasks):
    start = (
        f"from example_project import settings; settings.TASKS = {tasks}; import django; django.setup();"
        "from sessions_ext import new_device"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "example_project.settings"}
    command = [sys.executable, "-c", start]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


# The link


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
    assert "It is signed out" in page
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
        assert "has ended already" in page.content.decode()
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
    assert "has ended already" in Client().post(f"/devices/not-me/{swapped}/").content.decode()
    assert reason_of(session) == ""


def test_the_link_of_a_deleted_session_says_that_it_ended(user):
    sign_in(user)
    session = sign_in(user, agent=IPHONE)
    UserSession.objects.filter(pk=session.pk).delete()
    path = link_of(mail.outbox[0])
    for page in (Client().get(path), Client().post(path)):
        assert "has ended already" in page.content.decode()


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
    assert (record.levelname, "without its link" in record.getMessage()) == ("WARNING", True)
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
