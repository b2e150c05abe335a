"""Clients that generators make of the demo's OpenAPI document, used against a running demo: they know
every answer and every error by its type. Needs the extra `clients`, Java, Node and npm."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from django.conf import global_settings
from django.db import connection

from sessions_ext.testing import UserFactory
from tests import databases
from tests.servers import free_port, running

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

ADA, PASSWORD = "ada", "correct horse"
# What each client does; it prints what it was told.
STORY = [
    "401 invalid_credentials",
    "422 invalid_request: password",
    "signed in",
    "refreshed",
    "403 permission_denied",
    "404 not_found",
    "1 session, trusted: false",
    "1 session, trusted: true",
    "ended 1",
    "signed out",
    "401 not_authenticated",
]

PYTHON_CLIENT = """
import sys
from uuid import uuid4
from client import AuthenticatedClient, Client
from client.api.sessions import (
    get_session, list_sessions, login, logout, refresh, revoke_other_sessions, trust_session,
)
from client.api.sessions_of_users import list_user_sessions
from client.models import (
    PagedSessionsExtSession, SessionsExtCredentials, SessionsExtEnded, SessionsExtProblem,
    SessionsExtRefreshToken, SessionsExtSession, SessionsExtTokens, SessionsExtTrust,
)

server, name, password = sys.argv[1:]

def problem(answer):
    found = answer.parsed
    assert isinstance(found, SessionsExtProblem) and found.status == answer.status_code
    where = ": " + str(found.errors[0].loc[-1]) if found.errors else ""
    print(found.status, found.code + where)

with Client(server) as stranger:
    problem(login.sync_detailed(client=stranger, body=SessionsExtCredentials(name, "wrong")))
    problem(login.sync_detailed(client=stranger, body=SessionsExtCredentials(name, "")))
    login.sync(client=stranger, body=SessionsExtCredentials(name, password))
    tokens = login.sync(client=stranger, body=SessionsExtCredentials(name, password))
    assert isinstance(tokens, SessionsExtTokens) and tokens.session.created_at.utcoffset() is not None
    print("signed in")
    following = refresh.sync(client=stranger, body=SessionsExtRefreshToken(tokens.refresh_token))
    assert isinstance(following, SessionsExtTokens) and following.refresh_token != tokens.refresh_token
    print("refreshed")
with AuthenticatedClient(server, following.access_token) as client:
    problem(list_user_sessions.sync_detailed("1", client=client))
    problem(get_session.sync_detailed(uuid4(), client=client))
    for is_trusted in (False, True):
        changed = trust_session.sync(
            tokens.session.id, client=client, body=SessionsExtTrust(is_trusted)
        )
        page = list_sessions.sync(client=client, limit=1)
        assert isinstance(changed, SessionsExtSession) and isinstance(page, PagedSessionsExtSession)
        assert page.count == 2 and changed.id == page.items[0].id
        print(len(page.items), "session, trusted:", str(page.items[0].is_trusted).lower())
    ended = revoke_other_sessions.sync(client=client)
    assert isinstance(ended, SessionsExtEnded)
    print("ended", ended.revoked)
    assert logout.sync_detailed(client=client).status_code == 204
    print("signed out")
    problem(list_sessions.sync_detailed(client=client))
"""

GENERATOR_CLIENT = """
import sys
from uuid import uuid4
import client
from client import SessionsApi, SessionsOfUsersApi
from client.models import *

server, name, password = sys.argv[1:]

def problem(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except client.ApiException as error:
        found = error.data
        assert isinstance(found, SessionsExtProblem) and found.status == error.status
        where = f": {found.errors[0].loc[-1]}" if found.errors else ""
        print(found.status, found.code + where)

def credentials(password):
    return SessionsExtCredentials(username=name, password=password)

stranger = SessionsApi(client.ApiClient(client.Configuration(host=server)))
problem(stranger.login, credentials("wrong"))
problem(stranger.login, SessionsExtCredentials.model_construct(username=name, password=""))
stranger.login(credentials(password))
tokens = stranger.login(credentials(password))
assert isinstance(tokens, SessionsExtTokens) and tokens.session.created_at.utcoffset() is not None
print("signed in")
following = stranger.refresh(SessionsExtRefreshToken(refresh_token=tokens.refresh_token))
assert isinstance(following, SessionsExtTokens) and following.refresh_token != tokens.refresh_token
print("refreshed")
api_client = client.ApiClient(client.Configuration(host=server, access_token=following.access_token))
sessions = SessionsApi(api_client)
problem(SessionsOfUsersApi(api_client).list_user_sessions, "1")
problem(sessions.get_session, uuid4())
for is_trusted in (False, True):
    changed = sessions.trust_session(tokens.session.id, SessionsExtTrust(is_trusted=is_trusted))
    page = sessions.list_sessions(limit=1)
    assert isinstance(changed, SessionsExtSession) and isinstance(page, PagedSessionsExtSession)
    assert page.count == 2 and changed.id == page.items[0].id
    print(len(page.items), "session, trusted:", str(page.items[0].is_trusted).lower())
print("ended", sessions.revoke_other_sessions().revoked)
sessions.logout()
print("signed out")
problem(sessions.list_sessions)
"""

TYPESCRIPT_CLIENT = """
import createClient from "openapi-fetch";
import type { components, paths } from "./document.js";

type Problem = components["schemas"]["SessionsExtProblem"];
const [server, username, password] = process.argv.slice(2) as [string, string, string];

function problem(error: Problem | undefined, response: Response): void {
  if (error?.status !== response.status) throw new Error("not a problem");
  const where = error.errors?.[0] ? `: ${error.errors[0].loc.at(-1)}` : "";
  console.log(`${error.status} ${error.code}${where}`);
}

const stranger = createClient<paths>({ baseUrl: server });
for (const wrong of ["wrong", ""]) {
  const { error, response } = await stranger.POST("/api/sessions", { body: { username, password: wrong } });
  problem(error, response);
}
await stranger.POST("/api/sessions", { body: { username, password } });
const { data: tokens } = await stranger.POST("/api/sessions", { body: { username, password } });
if (!tokens) throw new Error("not signed in");
console.log("signed in");
const { data: following } = await stranger.POST("/api/sessions/refresh", {
  body: { refresh_token: tokens.refresh_token },
});
if (!following || following.refresh_token === tokens.refresh_token) throw new Error("not refreshed");
console.log("refreshed");
const headers = { Authorization: `Bearer ${following.access_token}` };
const client = createClient<paths>({ baseUrl: server, headers });
const users = await client.GET("/api/users/{user_id}/sessions", { params: { path: { user_id: "1" } } });
problem(users.error, users.response);
const unknown = { path: { session_id: crypto.randomUUID() } };
const nothing = await client.GET("/api/sessions/{session_id}", { params: unknown });
problem(nothing.error, nothing.response);
for (const is_trusted of [false, true]) {
  const params = { path: { session_id: tokens.session.id } };
  const changed = await client.PATCH("/api/sessions/{session_id}", { params, body: { is_trusted } });
  const { data: page } = await client.GET("/api/sessions", { params: { query: { limit: 1 } } });
  if (page?.count !== 2 || changed.data?.id !== page.items[0]?.id) throw new Error("another list");
  console.log(`${page.items.length} session, trusted: ${page.items[0]?.is_trusted}`);
}
const { data: ended } = await client.DELETE("/api/sessions");
console.log(`ended ${ended?.revoked}`);
const { response: end } = await client.DELETE("/api/sessions/current");
if (end.status !== 204) throw new Error("still signed in");
console.log("signed out");
const last = await client.GET("/api/sessions");
problem(last.error, last.response);
"""
PACKAGES = ["openapi-typescript@7", "openapi-fetch@0.17", "typescript@5", "@types/node@20"]
TSC = ["--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext"]


@pytest.fixture
def demo(tmp_path, settings):
    """The address of the demo on the database of the tests, with a user in it."""
    settings.PASSWORD_HASHERS = global_settings.PASSWORD_HASHERS
    UserFactory(username=ADA, password=PASSWORD)
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": databases.url_of(connection),
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
    }
    server = ["-m", "gunicorn", "example_project.wsgi", "-w", "2", "-b", f"127.0.0.1:{port}"]
    with running(server, port, environment, tmp_path / "log") as address:
        yield address


@pytest.fixture
def document(demo, tmp_path):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{demo}/api/openapi.json", timeout=20) as answer:
        document = json.loads(answer.read())
    path = tmp_path / "document.json"
    path.write_text(json.dumps(document))
    return path


def run(*command, folder):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(*programs):
    missing = [name for name in programs if not shutil.which(name)]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def test_a_client_of_openapi_python_client(demo, document, tmp_path):
    pytest.importorskip("openapi_python_client")
    made = run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"),
        *("--path", document.name, "--output-path", "client"),
        folder=tmp_path,
    )
    assert "WARNING" not in made
    (tmp_path / "story.py").write_text(PYTHON_CLIENT)
    assert run(sys.executable, "story.py", demo, ADA, PASSWORD, folder=tmp_path).splitlines() == STORY


@needs("java")
def test_a_client_of_openapi_generator(demo, document, tmp_path):
    pytest.importorskip("openapi_generator_cli")
    run(
        *("openapi-generator-cli", "generate", "-g", "python", "-o", "made"),
        *("-i", document.name, "--package-name", "client"),
        folder=tmp_path,
    )
    (tmp_path / "made/story.py").write_text(GENERATOR_CLIENT)
    told = run(sys.executable, "made/story.py", demo, ADA, PASSWORD, folder=tmp_path)
    assert told.splitlines() == STORY


@needs("npm", "node")
def test_a_client_of_openapi_typescript(demo, document, tmp_path):
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run("npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES, folder=tmp_path)
    run("npx", "openapi-typescript", document.name, "-o", "document.d.ts", folder=tmp_path)
    (tmp_path / "story.ts").write_text(TYPESCRIPT_CLIENT)
    run("npx", "tsc", *TSC, "story.ts", folder=tmp_path)
    assert run("node", "story.js", demo, ADA, PASSWORD, folder=tmp_path).splitlines() == STORY
