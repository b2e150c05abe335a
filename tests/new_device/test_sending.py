"""How the e-mail is sent."""

import os
import socket
import subprocess
import sys
import threading

import django
import pytest
from django.core import mail
from django.core.mail.backends import locmem
from django.db import connection
from django.test import Client
from django.utils.module_loading import import_string

from sessions_ext import mail as session_mail
from sessions_ext.models import UserSession
from tests.new_device.signing_in import HOME, IPHONE, sign_in, wait
from tests.patience import SECONDS
from tests.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def by_smtp(settings, host, port):
    backend = "django.core.mail.backends.smtp.EmailBackend"
    if django.VERSION >= (6, 1):
        options = {"host": host, "port": port, "timeout": SECONDS}
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
    else:
        settings.EMAIL_BACKEND = backend
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = host, port, SECONDS


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
    wait()  # the server has hung up
    assert "could not send" in caplog.text


class QueryingBackend(locmem.EmailBackend):
    """Looks something up before it sends, as the backends of some mail services do."""

    def send_messages(self, messages):
        UserSession.objects.count()
        return super().send_messages(messages)


def by_querying_backend(settings):
    backend = f"{__name__}.{QueryingBackend.__name__}"
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": backend}}
    else:
        settings.EMAIL_BACKEND = backend


@pytest.fixture
def pool():
    """Two connections for the process: one for the tests, and one for whoever else needs one."""
    pytest.importorskip("psycopg_pool")
    connection.close()
    options = connection.settings_dict["OPTIONS"]
    options["pool"] = {"min_size": 1, "max_size": 2, "timeout": SECONDS}
    yield
    connection.close()
    connection.close_pool()
    del options["pool"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="Django's pool is of PostgreSQL")
@pytest.mark.usefixtures("pool")
def test_the_thread_gives_its_connection_back_to_the_pool(user, settings):
    by_querying_backend(settings)
    sign_in(user)
    for number in range(5):
        sign_in(user, agent=f"tool{number}/1")
    assert len(mail.outbox) == 5


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
    session_mail._warn_once.cache_clear()
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
        "from sessions_ext import mail, new_device"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "example_project.settings", "DATABASE_URL": ""}
    command = [sys.executable, "-c", start]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
