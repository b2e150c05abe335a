"""No token and no password is compared by the database, stored, logged or shown: F09 and F10."""

import hmac
import json
import logging
import sys

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.core.signals import got_request_exception
from django.db import OperationalError, connection
from django.test import AsyncRequestFactory, Client
from django.test.utils import CaptureQueriesContext
from django.views.debug import ExceptionReporter

from sessions_ext import tokens
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, log_in
from tests.pairs import JSON, NEW, claims_of, parts_of, post, tokens_of

pytestmark = pytest.mark.django_db


def broken(token):
    """The same token with a signature of the same form that is not its own."""
    content, _, signature = token.rpartition(".")
    return f"{content}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def test_no_secret_is_compared_by_the_database(user, settings):
    """F09: no statement holds a token or a part of one, and a wrong signature asks for nothing."""
    pair = tokens_of(user)
    with CaptureQueriesContext(connection) as queries:
        tokens.verify(pair.access_token)
        following = tokens.refresh(pair.refresh_token)
        tokens.refresh(pair.refresh_token)
        settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
        tokens.refresh(pair.refresh_token)
    assert len(queries) > 4
    sent = str([query["sql"] for query in queries])
    given = (pair.access_token, pair.refresh_token, following.access_token, following.refresh_token)
    assert not any(part in sent for part in parts_of(*given))
    assert claims_of(pair.access_token)["auth"] not in sent
    with CaptureQueriesContext(connection) as queries:
        for token in given:
            assert tokens.verify(broken(token)) is tokens.refresh(broken(token)) is None
    assert len(queries) == 0


def test_the_table_holds_no_token(user):
    """F09: what is read from it opens nothing."""
    pair = tokens_of(user)
    row = UserSession.objects.values().get()
    stored = str(row)
    assert not any(part in stored for part in parts_of(pair.access_token, pair.refresh_token))
    for value in row.values():
        assert tokens.verify(str(value)) is tokens.refresh(str(value)) is None


def test_signatures_and_digests_are_compared_in_constant_time(user, monkeypatch):
    """F09: by hmac.compare_digest, and by nothing that stops at the first difference."""
    pair = tokens_of(user)
    compared = []

    def compare(one, other, real=hmac.compare_digest):
        compared.append({bytes(each, "utf-8") if isinstance(each, str) else each for each in (one, other)})
        return real(one, other)

    monkeypatch.setattr("hmac.compare_digest", compare)
    monkeypatch.setattr("secrets.compare_digest", compare)
    assert tokens.verify(pair.access_token)
    signature = jwt.utils.base64url_decode(pair.access_token.rpartition(".")[2])
    assert {signature} in compared
    assert {claims_of(pair.access_token)["auth"].partition(".")[2].encode()} in compared


@pytest.fixture
def everything_logged(caplog):
    """The text of every logger, from DEBUG on, SQL included."""
    known = logging.root.manager.loggerDict.values()
    loggers = [logger for logger in known if isinstance(logger, logging.Logger)]
    states = [(logger, logger.level, logger.propagate, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.propagate, logger.disabled = True, False
    connection.force_debug_cursor = True
    with caplog.at_level(logging.DEBUG):
        yield lambda: caplog.text + str([vars(record) for record in caplog.records])
    connection.force_debug_cursor = False
    for logger, level, propagate, disabled in states:
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled


def test_no_secret_is_logged(user, settings, everything_logged):
    """F10: neither a token nor a password, by any logger at any level, whatever is done."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    client = Client()
    user.set_password(NEW)
    user.save()
    name = user.get_username()
    assert client.post("/api/sessions", {"username": name, "password": NEW + "x"}, JSON).status_code == 401
    answers = [client.post("/api/sessions", {"username": name, "password": NEW}, JSON).json()]
    used = answers[0]["refresh_token"]
    answers.append(client.post("/api/sessions/refresh", {"refresh_token": used}, JSON).json())
    for body in answers:
        headers = {"Authorization": f"Bearer {body['access_token']}"}
        assert client.get("/api/sessions", headers=headers).status_code == 200
        wrong = {"Authorization": f"Bearer {broken(body['access_token'])}"}
        assert client.get("/api/sessions", headers=wrong).status_code == 401
        assert client.post("/api/sessions", body, JSON).status_code == 422
    assert client.post("/api/sessions/refresh", {"refresh_token": used}, JSON).status_code == 401
    assert client.post("/api/sessions/refresh", {"refresh": used}, JSON).status_code == 422
    assert client.get("/api/sessions", headers=headers).status_code == 401
    logged = everything_logged()
    assert "refresh token used twice" in logged
    assert "SELECT" in logged
    given = [body[kind] for body in answers for kind in ("access_token", "refresh_token")]
    assert not any(part in logged for part in parts_of(*given))
    assert NEW not in logged


@pytest.fixture
def reports(settings):
    """What Django mails to the administrators about each error, as HTML with all variables."""
    settings.DEBUG = False
    written = []

    def write(sender, request, **kwargs):
        written.append(ExceptionReporter(request, *sys.exc_info(), is_email=True).get_traceback_html())

    got_request_exception.connect(write)
    yield written
    got_request_exception.disconnect(write)


def failing(*verbs):
    """The database fails at these statements on our table."""

    def execute(execute, sql, params, many, context):
        if sql.startswith(verbs) and "sessions_ext_usersession" in sql:
            raise OperationalError("the database is gone")
        return execute(sql, params, many, context)

    return connection.execute_wrapper(execute)


REQUESTS = {
    "log in": ("POST", "/api/sessions"),
    "refresh": ("POST", "/api/sessions/refresh"),
    "list": ("GET", "/api/sessions"),
    "end": ("DELETE", "/api/sessions/current"),
    "async operation": ("GET", "/api/aboth"),
    "operation": ("GET", "/api/bearer"),
}


@pytest.mark.parametrize("verb", ["SELECT", "UPDATE", "INSERT"])
@pytest.mark.parametrize("name", REQUESTS)
def test_no_secret_is_in_the_report_of_an_error(client, user, reports, name, verb):
    """F10: neither a token, a session key nor a password, however the request fails."""
    user.set_password(NEW)
    user.save()
    log_in(client, user)
    key = client.cookies["sessionid"].value
    pair = tokens_of(user)
    method, where = REQUESTS[name]
    body = {
        "log in": {"username": user.get_username(), "password": NEW},
        "refresh": {"refresh_token": pair.refresh_token},
    }
    headers = {} if name in body else {"Authorization": f"Bearer {pair.access_token}"}
    client.raise_request_exception = False
    with failing(verb):
        answer = client.generic(method, where, json.dumps(body.get(name)), JSON, headers=headers)
    assert (answer.status_code == 500) == bool(reports)
    secrets = {*parts_of(pair.access_token, pair.refresh_token), key, NEW}
    for report in [*reports, answer.content.decode()]:
        assert [secret for secret in secrets if secret in report] == []


@pytest.mark.parametrize("call", ["verify", "refresh", "averify", "arefresh"])
def test_no_token_is_in_the_report_of_an_error_below_the_projects_own_code(user, settings, call):
    """F10: in every frame from ours downwards, of the async twins too."""
    settings.DEBUG = False
    pair = tokens_of(user)
    function = getattr(tokens, call)
    function = async_to_sync(function) if call.startswith("a") else function
    given = [pair.refresh_token if call.endswith("refresh") else pair.access_token]
    request = AsyncRequestFactory().get("/")
    with failing("SELECT"):
        try:
            function(given.pop())
        except OperationalError:
            report = ExceptionReporter(request, *sys.exc_info()).get_traceback_html()
    report = report[report.index("tokens.py") :]
    secrets = {"access": pair.access_token, "refresh": pair.refresh_token}
    assert [name for name, token in secrets.items() if any(part in report for part in parts_of(token))] == []


def test_no_token_is_on_a_page_of_the_admin(client, user):
    """F10"""
    log_in(client, UserFactory(is_staff=True, is_superuser=True))
    pair = tokens_of(user)
    following = tokens.refresh(pair.refresh_token)
    given = (pair.access_token, pair.refresh_token, following.access_token, following.refresh_token)
    ids = {claims_of(token)["jti"] for token in given}
    where = "/admin/sessions_ext/usersession/"
    for page in (where, f"{where}{pair.session.pk}/change/", f"{where}{pair.session.pk}/history/"):
        content = client.get(page, follow=True).content.decode()
        assert "user" in content
        assert not any(secret in content for secret in [*parts_of(*given), *ids])


def test_no_problem_repeats_what_was_sent(user):
    """F10: a body that failed holds a password or a token as often as not."""
    pair = tokens_of(user)
    sent = [
        {"username": user.get_username(), "password": NEW},
        {"username": "x\0", "password": NEW},
        {"username": user.get_username(), "password": NEW, "more": NEW},
        {"refresh_token": pair.refresh_token, "more": pair.access_token},
        {"refresh_token": [pair.refresh_token]},
        {"refresh_token": broken(pair.refresh_token)},
        {"refresh_token": pair.refresh_token * 30},
        {NEW: pair.access_token},
        pair.refresh_token,
    ]
    secrets = {*parts_of(pair.access_token, pair.refresh_token), NEW}
    for body in sent:
        for where in ("/api/sessions", "/api/sessions/refresh"):
            answer = post(where, json.dumps(body))
            assert answer.status_code in {401, 422}
            told = answer.content.decode() + str(answer.headers)
            assert not any(secret in told for secret in secrets - {NEW if NEW in body else None}), body
