"""Which bodies and methods a call cannot have, and what it is told then."""

import json
from io import BytesIO

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.test import Client
from django.urls import resolve

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.api.calls import JSON, problem

pytestmark = pytest.mark.django_db


MALFORMED = [
    b"{",
    b"not JSON",
    b"\xff\xfe\xfd",
    b'{"username": "ada" "password": "x"}',
    b"username=ada",
    b"[" * 5000,
]
INVALID = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"ada"',
    "a number": b"1",
    "not a number": b"NaN",
    "no members": b"{}",
    "no password": {"username": "ada"},
    "no user name": {"password": "x"},
    "an empty user name": {"username": "", "password": "x"},
    "an empty password": {"username": "ada", "password": ""},
    "a null": {"username": None, "password": "x"},
    "a number for a name": {"username": 1, "password": "x"},
    "a number for a password": {"username": "ada", "password": 1},
    "a list for a name": {"username": ["ada"], "password": "x"},
    "an object for a name": {"username": {"$ne": ""}, "password": "x"},
    "a NUL in the name": {"username": "a\0da", "password": "x"},
    "a name of 255 characters": {"username": "a" * 255, "password": "x"},
    "a name of 10 kB": {"username": "a" * 10_240, "password": "x"},
    "a password of 10 kB": {"username": "ada", "password": "x" * 10_240},
    "half a surrogate pair in the name": b'{"username": "a\\ud800", "password": "x"}',
    "half a surrogate pair in the password": b'{"username": "ada", "password": "\\udfff"}',
    "one member more": {"username": "ada", "password": "password", "is_staff": True},
    "half a surrogate pair for a member": b'{"username": "ada", "password": "password", "\\ud800": 1}',
}


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: body[:12].decode("latin-1"))
@pytest.mark.parametrize("path", ["/api/sessions", "/api/sessions/refresh"])
def test_a_body_that_is_not_json_is_told_so(user, body, path):
    assert problem(Client().post(path, body, JSON)) == "400 malformed_request"


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID)
def test_credentials_of_another_form_are_told_so(body):
    UserFactory(username="ada")
    answer = Client().post("/api/sessions", body, JSON)
    assert problem(answer) == "422 invalid_request"
    assert [set(error) for error in answer.json()["errors"]] == [{"loc", "msg", "type"}] * len(
        answer.json()["errors"]
    )
    assert answer.json()["errors"]
    assert not UserSession.objects.exists()


def test_an_error_repeats_nothing_of_the_body():
    body = {"username": ["name-to-keep"], "password": "secret-to-keep" * 1000, "more": "more-to-keep"}
    answer = Client().post("/api/sessions", body, JSON).content.decode()
    assert "to-keep" not in answer
    answer = Client().post("/api/sessions", '{"password": "secret-to-keep"', JSON).content.decode()
    assert "to-keep" not in answer


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", ["/sessions", "/sessions/refresh"])
def test_a_body_that_is_too_big_is_the_clients_mistake(settings, user, debug, path):
    settings.DEBUG = debug
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    client = Client(raise_request_exception=False)
    answer = client.post(f"/api{path}", {"username": "ada", "password": "x" * 1001}, JSON)
    assert problem(answer) == "413 body_too_large"


class NeverRead(BytesIO):
    def read(self, size=-1):
        raise AssertionError("the body was read")


@pytest.mark.parametrize("path", ["/sessions", "/sessions/refresh"])
def test_a_body_that_says_it_is_over_64_kilobytes_is_not_even_read(path):
    told = {"CONTENT_LENGTH": str(64 * 1024 + 1), "wsgi.input": NeverRead()}
    assert problem(Client().post(f"/api{path}", {}, JSON, **told)) == "413 body_too_large"


def test_a_body_of_64_kilobytes_is_read_and_one_more_byte_is_too_much():
    """Also where no length is told, as of a chunked body behind ASGI."""
    for size, told in ((64 * 1024, "422 invalid_request"), (64 * 1024 + 1, "413 body_too_large")):
        body = b'{"a": "' + b"a" * (size - 9) + b'"}'
        assert len(body) == size
        assert problem(Client().post("/api/sessions", body, JSON)) == told
        scope = {"type": "http", "method": "POST", "path": "/api/sessions", "headers": []}
        request = ASGIRequest(scope, BytesIO(body))
        match = resolve("/api/sessions")
        answer = match.func(request, *match.args, **match.kwargs)
        assert json.loads(answer.content)["code"] == told.split()[1]


def test_a_length_of_many_digits_is_too_much():
    told = {"CONTENT_LENGTH": "9" * 5000, "wsgi.input": NeverRead()}
    assert problem(Client().post("/api/sessions", {}, JSON, **told)) == "413 body_too_large"


def reads_forms(get_response):
    def middleware(request):
        assert request.POST is not None
        return get_response(request)

    return middleware


class Broken(BytesIO):
    def read(self, size=-1):
        raise OSError("the client is gone")


def test_a_body_that_cannot_be_read_is_the_clients_mistake(settings):
    told = {"CONTENT_LENGTH": "2", "wsgi.input": Broken()}
    assert problem(Client().post("/api/sessions", {}, JSON, **told)) == "400 malformed_request"
    settings.MIDDLEWARE = [f"{__name__}.reads_forms", *settings.MIDDLEWARE]
    assert problem(Client().post("/api/sessions", {"username": "ada"})) == "400 malformed_request"


def test_of_many_errors_some_are_told():
    body = json.dumps({f"{number:x}": 1 for number in range(5000)})
    assert 50_000 < len(body) < 64 * 1024
    answer = Client().post("/api/sessions", body, JSON)
    assert problem(answer) == "422 invalid_request"
    assert len(answer.json()["errors"]) == 20
    assert len(answer.content) < 4000


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_json_is_read_whatever_its_content_type(user, content_type):
    body = json.dumps({"username": user.get_username(), "password": "password"})
    assert Client().post("/api/sessions", body, content_type).status_code == 201


def test_a_form_is_not_json(user):
    answer = Client().post("/api/sessions", {"username": user.get_username(), "password": "password"})
    assert problem(answer) == "400 malformed_request"


def test_problems_are_problems_where_the_api_answers_errors_in_its_own_way(client, user, app, rates):
    def ask(method, path, data=None, client=None, **more):
        body = "" if data is None else data if isinstance(data, str) else json.dumps(data)
        return problem((client or Client()).generic(method, f"/handled{path}", body, JSON, **more))

    other = UserSessionFactory()
    assert ask("GET", "/sessions") == "401 not_authenticated"
    assert ask("POST", "/sessions", "{") == "400 malformed_request"
    assert ask("POST", "/sessions", {}) == "422 invalid_request"
    assert ask("POST", "/sessions", {"username": "x", "password": "x"}) == "401 invalid_credentials"
    assert ask("POST", "/sessions/refresh", {"refresh_token": "x"}) == "401 invalid_refresh_token"
    assert ask("GET", f"/sessions/{other.pk}", headers=app.headers) == "404 not_found"
    assert ask("GET", f"/users/{other.pk}/sessions", headers=app.headers) == "403 permission_denied"
    strict = Client(enforce_csrf_checks=True)
    log_in(strict, user)
    assert ask("DELETE", "/sessions", client=strict) == "403 csrf_failed"
    rates(sessions_login="1/min")
    ask("POST", "/sessions", {})
    assert ask("POST", "/sessions", {}) == "429 throttled"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "TRACE", "BREW"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/sessions", {"GET", "POST", "DELETE"}),
        ("/sessions/refresh", {"POST"}),
        ("/sessions/current", {"GET", "DELETE"}),
        ("/sessions/current/confirm", {"POST"}),
        ("/sessions/{id}", {"GET", "PATCH", "DELETE"}),
        ("/users/x/sessions", {"GET", "DELETE"}),
        ("/users/x/sessions/{id}", {"DELETE"}),
    ],
)
def test_a_method_that_is_not_there_names_those_that_are(app, path, allowed, method):
    answer = app.call(method, path.format(id=app.id))
    assert answer.status_code == 405
    assert set(answer["Allow"].split(", ")) == allowed
    assert app.session.is_active
