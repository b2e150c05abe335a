"""The app under a real WSGI and a real ASGI server, in processes of their own."""

import os
from collections.abc import Iterator

import pytest
from django.db import connection

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory
from tests import databases
from tests.servers import Browser, free_port, running

pytestmark = pytest.mark.django_db(transaction=True)

COMMANDS = {
    "gunicorn": ["gunicorn", "django.core.wsgi:get_wsgi_application()", "-w", "2", "-b", "127.0.0.1:{port}"],
    "uvicorn": ["uvicorn", "--factory", "django.core.asgi:get_asgi_application", "--port", "{port}"],
}


@pytest.fixture(params=COMMANDS, scope="module")
def server(request, django_db_setup, tmp_path_factory) -> Iterator[str]:
    port = free_port()
    command = ["-m", *(part.format(port=port) for part in COMMANDS[request.param])]
    environment = os.environ | {
        "DATABASE_URL": databases.url_of(connection),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    with running(command, port, environment, tmp_path_factory.mktemp("server") / "log") as address:
        yield address


@pytest.mark.parametrize("prefix", ["/", "/a"])
def test_a_revoke_in_one_process_signs_out_in_another(server, prefix):
    name = UserFactory().get_username()
    one, two = Browser(server), Browser(server)
    for browser in (one, two):
        assert browser.visit(f"{prefix}login/", username=name, password="password") == name
    ids = {browser.visit(f"{prefix}row/") for browser in (one, two)}
    assert ids == {str(pk) for pk in UserSession.objects.values_list("pk", flat=True)}

    assert UserSession.objects.filter(pk=one.visit(f"{prefix}row/")).revoke("stolen") == 1

    assert one.visit(f"{prefix}who/") == "nobody"
    assert one.visit(f"{prefix}data/") == "{}"
    assert two.visit(f"{prefix}who/") == name

    assert two.visit(f"{prefix}logout/") == "nobody"
    assert two.visit("/who/") == two.visit("/awho/") == "nobody"
    assert not UserSession.objects.active().exists()
