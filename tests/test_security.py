"""What must never happen: failures that other systems shipped, each with its code.

F18, F20 and F21 need threads that race; they live in concurrency/, F01 and F04 in test_tokens.py,
F15 in test_views.py and test_new_device.py.
"""

import hashlib
import hmac
import json
import logging
import os
import subprocess
import sys
from uuid import uuid4

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.core.signals import got_request_exception
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.http import HttpResponse
from django.test import AsyncRequestFactory, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path, resolve
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.views.debug import ExceptionReporter

from sessions_ext import tokens
from sessions_ext.models import UserSession
from sessions_ext.stores import ID_KEY
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests import databases
from tests.urls import urlpatterns as paths

pytestmark = pytest.mark.django_db

NEW = "xK4!vnw2p"
JSON = "application/json"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def refresh_and_fail(request):
    """The refresh of the API in a project whose own code fails after it."""
    resolve("/api/sessions/refresh").func(request)
    raise RuntimeError("after the rotation")


def refresh_or_raise(request):
    """A view of the project's own that answers a replay with an exception."""
    if tokens.refresh(request.GET["token"]) is None:
        raise PermissionDenied
    return HttpResponse("ok")


@transaction.non_atomic_requests
def refresh_or_raise_outside(request):
    return refresh_or_raise(request)


def refresh_or_answer(request):
    return HttpResponse(status=200 if tokens.refresh(request.GET["token"]) else 403)


urlpatterns = [
    *paths,
    path("refresh-and-fail/", refresh_and_fail),
    path("refresh-or-raise/", refresh_or_raise),
    path("refresh-or-raise-outside/", refresh_or_raise_outside),
    path("refresh-or-answer/", refresh_or_answer),
]


def tokens_of(user):
    return tokens.login(RequestFactory().post("/"), user, MODEL_BACKEND)


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def signed(claims, settings, **more):
    """A token by the key that tokens are really signed with."""
    key = hashlib.sha256(b"sessions_ext.tokens" + settings.SECRET_KEY.encode()).digest()
    return jwt.encode(claims | more, key, algorithm="HS256")


def are_refused(pair):
    return tokens.verify(pair.access_token) is None and tokens.refresh(pair.refresh_token) is None


def parts_of(*given):
    """What is secret of tokens: each segment but the header."""
    return {part for token in given for part in token.split(".")[1:]}


def post(path, data, **more):
    return Client(raise_request_exception=False).post(path, data, JSON, **more)


def credentials(user):
    return {"username": user.get_username(), "password": "password"}


def replayed(cookie: str) -> Client:
    client = Client()
    client.cookies["sessionid"] = cookie
    return client


REFRESH = """
import django
django.setup()
import sys
from sessions_ext import tokens
pair = tokens.refresh(sys.argv[1])
print(pair and pair.refresh_token)
"""


def refreshed_elsewhere(token):
    """By a process that was started just now, on the same database."""
    environment = os.environ | {
        "DATABASE_URL": databases.url_of(connection),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    command = [sys.executable, "-c", REFRESH, token]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return result.stdout.strip()


@pytest.mark.django_db(transaction=True)
def test_a_restart_revives_no_used_token(user):
    """F02: what a process knew is forgotten, and a rotation holds all the same."""
    pair = tokens_of(user)
    following = tokens.refresh(pair.refresh_token)
    last = refreshed_elsewhere(following.refresh_token)
    assert tokens.verify(tokens.refresh(following.refresh_token).access_token)  # a double submit
    assert tokens.refresh(last)
    assert refreshed_elsewhere(pair.refresh_token) == "None"
    session = UserSession.objects.get()
    assert session.revoked_reason == "refresh_reuse"
    assert refreshed_elsewhere(last) == "None"


@pytest.fixture
def atomic_requests(transactional_db, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("grace", [0, 10])
def test_an_error_after_the_rotation_burns_no_token(user, settings, atomic_requests, grace):
    """F03: under ATOMIC_REQUESTS the rotation is undone with the rest, so that the old token is good."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": grace}
    pair = tokens_of(user)
    used = {"refresh_token": pair.refresh_token}
    for _ in range(3):
        assert post("/refresh-and-fail/", used).status_code == 500
    answer = post("/api/sessions/refresh", used)
    assert answer.status_code == 200
    assert tokens.verify(answer.json()["access_token"])
    assert UserSession.objects.get().previous_refresh_token_id == pair.session.refresh_token_id


@pytest.mark.urls(__name__)
@pytest.mark.django_db(transaction=True)
def test_an_error_after_a_rotation_that_stands_burns_no_token(user):
    """F03: without ATOMIC_REQUESTS the client goes on within the grace window."""
    pair = tokens_of(user)
    used = {"refresh_token": pair.refresh_token}
    assert post("/refresh-and-fail/", used).status_code == 500
    assert UserSession.objects.get().refresh_token_id != pair.session.refresh_token_id
    answer = post("/api/sessions/refresh", used)
    assert answer.status_code == 200
    assert tokens.refresh(answer.json()["refresh_token"])


@pytest.mark.urls(__name__)
def test_a_detected_replay_stays_revoked(user, settings, atomic_requests):
    """F03: the 401 that tells of it undoes nothing, nor does an error of a later request."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    pair = tokens_of(user)
    used = {"refresh_token": pair.refresh_token}
    following = post("/api/sessions/refresh", used).json()
    assert post("/api/sessions/refresh", used).status_code == 401
    for token in (pair.refresh_token, following["refresh_token"]):
        assert post("/refresh-and-fail/", {"refresh_token": token}).status_code == 500
        assert UserSession.objects.get().revoked_reason == "refresh_reuse"
    headers = {"Authorization": f"Bearer {following['access_token']}"}
    assert Client().get("/api/sessions", headers=headers).status_code == 401
    answer = post("/api/sessions/refresh", {"refresh_token": following["refresh_token"]})
    assert answer.status_code == 401


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("view", "reason"),
    [("answer", "refresh_reuse"), ("raise-outside", "refresh_reuse"), ("raise", "")],
)
def test_a_replay_before_a_view_of_the_projects_own(user, settings, atomic_requests, view, reason):
    """F03: only an exception that leaves the transaction undoes the end, as refresh() says."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    pair = tokens_of(user)
    assert tokens.refresh(pair.refresh_token)
    answer = Client().get(f"/refresh-or-{view}/", {"token": pair.refresh_token})
    assert answer.status_code == 403
    assert UserSession.objects.get().revoked_reason == reason


@pytest.mark.django_db(transaction=True)
def test_a_rotation_that_is_rolled_back_leaves_one_live_family(user, settings):
    """F03: the pair of a rotation that never was is a stranger's."""
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    pair = tokens_of(user)
    with transaction.atomic():
        lost = tokens.refresh(pair.refresh_token)
        transaction.set_rollback(True)
    following = tokens.refresh(pair.refresh_token)
    assert tokens.verify(following.access_token)
    assert tokens.refresh(lost.refresh_token) is None
    assert UserSession.objects.get().revoked_reason == "refresh_reuse"
    assert are_refused(following)


def test_revoked_browser_is_anonymous_at_its_next_request_on_each_engine(client, aget, user, engine):
    """F05: a revoke reaches the store that the project really uses."""
    client.post("/login/", credentials(user))
    elsewhere = Client()
    elsewhere.post("/login/", credentials(user))
    session = UserSession.objects.for_user(user).oldest_first().first()
    cookie = client.cookies["sessionid"].value
    assert UserSession.objects.for_user(user).filter(pk=session.pk).revoke("stolen") == 1
    assert aget("/awho/").content == b"nobody"
    assert client.get("/who/").content == b"nobody"
    assert replayed(cookie).get("/who/").content == b"nobody"
    assert elsewhere.get("/who/").content.decode() == user.get_username()


def by_set_password(user, client):
    user.set_password(NEW)
    user.save()


def by_raw_update(user, client):
    get_user_model().objects.filter(pk=user.pk).update(password="!")


def by_reset(user, client):
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(get_user_model().objects.get(pk=user.pk))
    guest = Client()
    form = guest.get(f"/reset/{uid}/{token}/").url
    assert guest.post(form, {"new_password1": NEW, "new_password2": NEW}).status_code == 302


def by_change_elsewhere(user, client):
    elsewhere = Client()
    log_in(elsewhere, user)
    form = {"old_password": "password", "new_password1": NEW, "new_password2": NEW}
    assert elsewhere.post("/password/", form).status_code == 302
    assert elsewhere.get("/who/").content.decode() == user.get_username()


@pytest.mark.parametrize("change", [by_set_password, by_raw_update, by_reset, by_change_elsewhere])
def test_a_password_change_ends_the_sessions(client, user, engine, change):
    """F06: each way to another password ends the cookies."""
    session = log_in(client, user)
    change(user, client)
    assert client.get("/who/").content == b"nobody"
    session.refresh_from_db()
    assert session.revoked_reason == "password_change"


def test_changepassword_ends_the_sessions(client, user, monkeypatch, tmp_path):
    """F06: so does an operator's manage.py changepassword."""
    monkeypatch.setattr("getpass.getpass", lambda prompt="": NEW)
    session = log_in(client, user)
    with open(tmp_path / "out", "w") as out:
        call_command("changepassword", user.get_username(), stdout=out)
    session.refresh_from_db()
    assert session.revoked_reason == "password_change"
    assert client.get("/who/").content == b"nobody"


def by_raw_sql(user, client):
    with connection.cursor() as cursor:
        key = user._meta.pk.get_db_prep_value(user.pk, connection)
        cursor.execute(f"UPDATE {user._meta.db_table} SET password = '!' WHERE id = %s", [key])


def by_changepassword(user, client):
    with pytest.MonkeyPatch.context() as patch, open(os.devnull, "w") as out:
        patch.setattr("getpass.getpass", lambda prompt="": NEW)
        call_command("changepassword", user.get_username(), stdout=out)


@pytest.mark.parametrize(
    "change",
    [by_set_password, by_raw_update, by_raw_sql, by_reset, by_change_elsewhere, by_changepassword],
)
@pytest.mark.parametrize("first_used", ["access", "refresh"])
def test_a_password_change_ends_the_tokens(client, user, change, first_used):
    """F06: each way to another password ends access and refresh tokens, used and unused, at once."""
    used, bystander = tokens_of(user), tokens_of(UserFactory())
    pair = tokens.refresh(used.refresh_token)
    change(user, client)
    if first_used == "access":
        assert tokens.verify(pair.access_token) is tokens.verify(used.access_token) is None
    assert tokens.refresh(pair.refresh_token) is tokens.refresh(used.refresh_token) is None
    assert are_refused(pair)
    assert tokens.verify(bystander.access_token)
    fresh = get_user_model().objects.get(pk=user.pk)
    assert tokens.verify(tokens_of(fresh).access_token)


def test_a_password_that_is_put_back_revives_no_session(user):
    """F06: a token that met the other password has ended its session, as a cookie does."""
    pair, old = tokens_of(user), user.password
    users = get_user_model().objects.filter(pk=user.pk)
    users.update(password="!")
    assert tokens.verify(pair.access_token) is None
    assert UserSession.objects.get().revoked_reason == "password_change"
    users.update(password=old)
    assert are_refused(pair)


def test_a_cookie_captured_before_the_logout_opens_nothing_after_it(client, user, engine):
    """F07: replaying it, with signed cookies too, which keep nothing on the server."""
    client.post("/login/", credentials(user))
    cookie = client.cookies["sessionid"].value
    assert replayed(cookie).get("/who/").content.decode() == user.get_username()
    client.get("/logout/")
    assert replayed(cookie).get("/who/").content == b"nobody"


def test_id_and_session_key_are_new_after_a_login(client, user, engine):
    """F08: fixation."""
    client.get("/put/?key=cart&value=1")
    before = client.cookies["sessionid"].value
    client.post("/login/", credentials(user))
    first = client.session[ID_KEY]
    assert client.cookies["sessionid"].value != before
    assert replayed(before).get("/who/").content == b"nobody"
    client.get("/logout/")
    client.post("/login/", credentials(user))
    assert client.session[ID_KEY] != first


@pytest.mark.parametrize("with_middleware", [True, False])
def test_a_planted_id_adopts_nobodys_row(client, user, engine, settings, with_middleware):
    """F08: neither a stranger's row nor another one of the same user."""
    if not with_middleware:
        settings.MIDDLEWARE = settings.MIDDLEWARE[:2]
    theirs, own = UserSessionFactory(), UserSessionFactory(user=user)
    # Without the middleware, a login cannot tell a planted id of its own user from a login again.
    for planted in (theirs, own) if with_middleware else (theirs,):
        guest = Client()
        session = guest.session
        session[ID_KEY] = str(planted.pk)
        session.save()
        guest.cookies["sessionid"] = session.session_key
        assert guest.get("/who/").content == b"nobody"
        guest.post("/login/", credentials(user))
        assert guest.session[ID_KEY] not in {str(theirs.pk), str(own.pk)}
        planted.refresh_from_db()
        assert planted.is_active


@pytest.mark.parametrize(
    ("trusted", "address"),
    [((), "203.0.113.9"), (1, "192.0.2.4"), (["10.0.0.0/8"], "203.0.113.9"), (["203.0.113.9"], "192.0.2.4")],
)
def test_a_forged_header_changes_no_address(user, settings, trusted, address):
    """F11: at the login and at a later touch; the whole table is in test_clients.py."""
    settings.SESSIONS_EXT = {"TRUSTED_PROXIES": trusted, "TOUCH_INTERVAL": 0}
    forged = {
        "X-Forwarded-For": "198.51.100.66, 192.0.2.4",
        "X-Real-IP": "198.51.100.66",
        "Forwarded": "for=198.51.100.66",
    }
    client = Client(REMOTE_ADDR="203.0.113.9", headers=forged)
    client.post("/login/", credentials(user))
    client.get("/who/")
    session = UserSession.objects.get()
    assert session.ip_address == session.last_ip_address == address


@pytest.mark.parametrize(
    "address",
    ["", "unknown", "192.0.2.9:4711", "[2001:db8::9]:443", "fe80::1%eth0", "unix:", "/run/app.sock", None],
)
def test_a_missing_or_odd_address_fails_no_login(user, address):
    """F19"""
    client = Client(REMOTE_ADDR=address)
    client.post("/login/", credentials(user))
    assert client.get("/who/").content.decode() == user.get_username()
    expected = {
        "192.0.2.9:4711": "192.0.2.9",
        "[2001:db8::9]:443": "2001:db8::9",
        "fe80::1%eth0": "fe80::1",
    }
    assert UserSession.objects.get().ip_address == expected.get(address)


def test_an_async_login_leaves_the_same_row(apost, user, engine):
    """F22: alogin, async views and async middleware."""
    headers = {"User-Agent": "curl/8.5.0"}
    Client().post("/login/", credentials(user), headers=headers)
    response = apost("/alogin/", credentials(user), headers=headers)
    assert response.content.decode() == user.get_username()
    here, there = UserSession.objects.newest_first()
    described = ("user_id", "user_agent", "device_info", "ip_address", "last_ip_address", "is_revoked")
    assert [getattr(here, name) for name in described] == [getattr(there, name) for name in described]


def test_an_async_login_is_seen_by_the_next_async_request(apost, aget, client, user, engine):
    """F22: the user is not lost on the way."""
    response = apost("/alogin/", credentials(user))
    client.cookies["sessionid"] = response.cookies["sessionid"].value
    assert aget("/awho/").content.decode() == user.get_username()
    assert aget("/arow/").content.decode() == str(UserSession.objects.get().pk)
    assert aget("/alogout/").content == b"nobody"
    assert UserSession.objects.get().revoked_reason == "logout"


def test_a_signed_cookie_without_an_id_opens_nothing_after_its_adoption_ended(user, settings):
    """F07: nor does a cookie from before the app was installed."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client = Client()
    log_in(client, user)
    UserSession.objects.all().delete()
    store = SignedCookies(client.cookies["sessionid"].value)
    del store[ID_KEY]
    store.save()
    for _ in range(2):
        assert replayed(store.session_key).get("/who/").content.decode() == user.get_username()
    assert UserSession.objects.count() == 1
    UserSession.objects.for_user(user).revoke("stolen")
    assert replayed(store.session_key).get("/who/").content == b"nobody"


# Tokens


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


@pytest.mark.parametrize("claim", ["sub", "sid", "jti", "iat", "exp", "type", "auth"])
@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_a_token_that_lacks_a_claim_is_refused(user, settings, claim, kind):
    """F12: though it is signed by the right key."""
    pair = tokens_of(user)
    whole = claims_of(getattr(pair, f"{kind}_token"))
    use = tokens.verify if kind == "access" else tokens.refresh
    for claims in (
        {name: value for name, value in whole.items() if name != claim},
        whole | {claim: None},
    ):
        assert use(signed(claims, settings)) is None
    assert UserSession.objects.get().is_active
    assert use(signed(whole, settings))


WRONG = {
    "sub": [1, 0, True, [], {}, ["1"], 1.5, "", "0", "\0", "\ud800", "x" * 1000, str(2**70), "-1"],
    "sid": [1, True, [], {}, "", "x", "\0", "\ud800", "x" * 1000, [str(uuid4())], str(uuid4())],
    "jti": [1, True, [], {}, 1.5],
    "iat": ["1", "x", [], {}, 1.5, True],
    "exp": ["9999999999", "x", [], {}, True, -1, 0, 1.5, 9999999999.5, float("nan"), float("inf")],
    "type": [1, True, [], {}, "", "ACCESS", "Refresh", "access ", "\0"],
    "auth": [1, True, [], {}, "", "\0", "\ud800", "é", "x" * 1000],
}


@pytest.mark.parametrize(("claim", "value"), [(claim, value) for claim in WRONG for value in WRONG[claim]])
def test_a_claim_of_another_kind_is_refused(user, settings, claim, value):
    """F12: though the key is right; nothing breaks, in a transaction either."""
    pair = tokens_of(user)
    access, refresh = claims_of(pair.access_token), claims_of(pair.refresh_token)
    assert tokens.verify(signed(access, settings, **{claim: value})) is None
    assert tokens.refresh(signed(refresh, settings, **{claim: value})) is None
    assert tokens.verify(pair.access_token)


@pytest.mark.parametrize("more", ["\ud800", "é"])
def test_a_digest_that_is_not_ascii_is_refused(user, settings, more):
    """F12: that of the right backend before it, so that it would be compared; and it ends nothing."""
    pair = tokens_of(user)
    for token, use in ((pair.access_token, tokens.verify), (pair.refresh_token, tokens.refresh)):
        backend, _, digest = claims_of(token)["auth"].partition(".")
        for auth in (f"{backend}.{more}", f"{backend}.{digest}{more}"):
            assert use(signed(claims_of(token), settings, auth=auth)) is None
    assert UserSession.objects.get().is_active
    assert not are_refused(pair)


def test_tokens_of_two_sessions_are_not_mixed(user, settings):
    """F12: not of two users, two sessions of one, or two kinds, signed by the right key."""
    mine, other, theirs = tokens_of(user), tokens_of(user), tokens_of(UserFactory())
    access, refresh = claims_of(mine.access_token), claims_of(mine.refresh_token)
    foreign = claims_of(theirs.access_token)
    for mixed in ({"sub": foreign["sub"]}, {"sid": foreign["sid"]}):
        assert tokens.verify(signed(access, settings, **mixed)) is None
        assert tokens.refresh(signed(refresh, settings, **mixed)) is None
    assert tokens.verify(signed(refresh, settings, exp=access["exp"])) is None
    assert tokens.refresh(signed(access, settings, exp=refresh["exp"])) is None
    assert UserSession.objects.active().count() == 3
    assert tokens.refresh(signed(refresh, settings, sid=str(other.session.pk))) is None
    assert tokens.verify(mine.access_token)
    assert tokens.verify(theirs.access_token)
    assert tokens.verify(signed(access, settings, auth=foreign["auth"])) is None


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512"])
def test_a_token_in_another_algorithm_is_refused(user, settings, algorithm):
    """F12: with the right key as well."""
    pair = tokens_of(user)
    key = hashlib.sha256(b"sessions_ext.tokens" + settings.SECRET_KEY.encode()).digest()
    key = None if algorithm == "none" else key.ljust(64, b"\0")
    for token in (pair.access_token, pair.refresh_token):
        forged = jwt.encode(claims_of(token), key, algorithm=algorithm)
        for spelling in (forged, forged + token.rpartition(".")[2]):
            assert tokens.verify(spelling) is tokens.refresh(spelling) is None
    assert UserSession.objects.get().is_active


def test_a_truncated_token_is_refused(user):
    """F12: at every length."""
    pair = tokens_of(user)
    for token in (pair.access_token, pair.refresh_token):
        for end in range(len(token)):
            assert tokens.verify(token[:end]) is tokens.refresh(token[:end]) is None
            assert tokens.verify(token[end + 1 :]) is tokens.refresh(token[end + 1 :]) is None


def test_nothing_lasts_for_ever(user, settings):
    """F13: no token without an end is taken, and no row without one is stored."""
    pair = tokens_of(user)
    for token in (pair.access_token, pair.refresh_token):
        endless = claims_of(token)
        del endless["exp"]
        for claims in (endless, endless | {"exp": None}):
            assert tokens.verify(signed(claims, settings)) is tokens.refresh(signed(claims, settings)) is None
    far = signed(claims_of(pair.access_token), settings, exp=2**62)
    UserSession.objects.update(expires_at=pair.session.created_at)
    assert tokens.verify(far) is None
    with pytest.raises(IntegrityError), transaction.atomic():
        UserSession.objects.update(expires_at=None)


def test_nobody_ends_or_sees_a_session_of_another_user(user):
    """F14: a foreign id is answered as an unknown one. (More of it: api/test_own_sessions.py.)"""
    mine, theirs = tokens_of(user), tokens_of(UserFactory())
    headers = {"Authorization": f"Bearer {mine.access_token}"}
    for method in ("GET", "DELETE", "PATCH"):
        body = '{"is_trusted": true}' if method == "PATCH" else ""
        foreign, unknown = (
            Client().generic(method, f"/api/sessions/{session_id}", body, JSON, headers=headers)
            for session_id in (theirs.session.pk, uuid4())
        )
        assert foreign.status_code == 404
        assert foreign.content == unknown.content
    theirs.session.refresh_from_db()
    assert theirs.session.is_active
    assert not theirs.session.is_trusted
    assert UserSession.objects.for_user(user).filter(pk=theirs.session.pk).revoke("user") == 0


def test_no_answer_lists_what_opens_a_session(client, user):
    """F16: only public ids."""
    log_in(client, user)
    key = client.cookies["sessionid"].value
    pair = tokens_of(user)
    following = tokens.refresh(pair.refresh_token)
    given = (pair.access_token, pair.refresh_token, following.access_token, following.refresh_token)
    secrets = {*parts_of(*given), *(claims_of(token)["jti"] for token in given), key}
    headers = {"Authorization": f"Bearer {following.access_token}"}
    for where in ("sessions?state=all", "sessions/current", f"sessions/{pair.session.pk}"):
        answer = Client().get(f"/api/{where}", headers=headers)
        assert answer.status_code == 200
        told = answer.content.decode() + str(answer.headers)
        assert str(pair.session.pk) in told
        assert not any(secret in told for secret in secrets)


@pytest.mark.parametrize("backend", ["db", "cached_db", "cache"])
def test_a_revoked_token_lives_in_no_cache(user, settings, backend):
    """F17: whatever the project caches, the answer comes from the row."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{backend}"
    settings.SESSIONS_EXT = {"CACHE": "default", "VERDICT_TTL": 3600}
    pair = tokens_of(user)
    headers = {"Authorization": f"Bearer {pair.access_token}"}
    client = Client()
    assert client.get("/api/both", headers=headers).status_code == 200
    UserSession.objects.filter(pk=pair.session.pk).revoke("stolen")
    assert client.get("/api/both", headers=headers).status_code == 401
    assert are_refused(pair)


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("PATCH", "sessions/{other}"),
        ("DELETE", "sessions/{other}"),
        ("DELETE", "sessions"),
        ("DELETE", "sessions/current"),
    ],
)
def test_a_call_by_cookie_needs_the_csrf_token_and_one_by_token_does_not(user, method, where):
    """F23: in the API. (The pages of the admin and the project's own operations: api/.)"""
    client = Client(enforce_csrf_checks=True)
    log_in(client, user)
    pair, other = tokens_of(user), tokens_of(user)
    where = "/api/" + where.format(other=other.session.pk)
    body = '{"is_trusted": true}' if method == "PATCH" else ""
    assert client.generic(method, where, body, JSON).status_code == 403
    assert UserSession.objects.active().filter(is_trusted=False).count() == 3
    headers = {"Authorization": f"Bearer {pair.access_token}"}
    assert client.generic(method, where, body, JSON, headers=headers).status_code in {200, 204}
    assert UserSession.objects.active().filter(is_trusted=False).count() < 3
