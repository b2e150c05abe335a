"""One's own sessions: seen, trusted and ended."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory, log_in
from tests.api.calls import JSON, SESSION, App, ids, permit, problem, refresh, staff_path

pytestmark = pytest.mark.django_db


# Seeing.


def test_sessions_are_listed_newest_first_and_the_current_one_is_marked(user, later):
    UserSessionFactory()
    apps = []
    for _ in range(3):
        apps.append(App(user))
        later(1)
    answer = apps[1].get("/sessions")
    assert ids(answer) == [apps[2].id, apps[1].id, apps[0].id]
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"items", "count"}
    assert body["count"] == 3
    assert {frozenset(session) for session in body["items"]} == {frozenset(SESSION)}
    assert [session["is_current"] for session in body["items"]] == [False, True, False]
    assert [apps[1].get(f"/sessions/{app.id}").json() for app in reversed(apps)] == body["items"]


def test_sessions_are_listed_by_state(user, app):
    expired, revoked = (
        UserSessionFactory(user=user, expired=True),
        UserSessionFactory(user=user, revoked=True),
    )
    named = {app.id: "active", str(expired.pk): "expired", str(revoked.pk): "revoked"}
    for state in ("active", "expired", "revoked"):
        answer = app.get(f"/sessions?state={state}")
        assert ids(answer) == [pk for pk, of in named.items() if of == state]
        assert {session["state"] for session in answer.json()["items"]} == {state}
    assert {
        session["id"]: session["state"] for session in app.get("/sessions?state=all").json()["items"]
    } == named
    assert ids(app.get("/sessions")) == [app.id]


def test_an_ended_session_tells_when_why_and_by_whom(user, app, later):
    UserSession.objects.filter(pk=UserSessionFactory(user=user).pk).revoke("admin")
    [told] = app.get("/sessions?state=revoked").json()["items"]
    assert (told["revoked_reason"], told["ended_by"]) == ("admin", "admin")
    assert told["revoked_at"].startswith(f"{timezone.now():%Y-%m-%dT%H:%M}")
    current = app.get("/sessions/current").json()
    assert (current["revoked_at"], current["revoked_reason"], current["ended_by"]) == (None, "", None)


def test_without_time_zones_a_time_carries_its_offset_all_the_same(without_time_zones, user):
    """An app elsewhere would take a time without one for its own."""
    app = App(user)
    app.delete("/sessions/current")
    session = App(user).get(f"/sessions/{app.id}").json()
    for name in ("created_at", "last_activity_at", "expires_at", "revoked_at"):
        moment = datetime.fromisoformat(session[name])
        assert moment.utcoffset() == timedelta(hours=-9.5), name
        apart = moment.replace(tzinfo=None) - getattr(app.session, name)
        assert abs(apart) < timedelta(milliseconds=1)
    assert abs(datetime.fromisoformat(session["created_at"]) - datetime.now(UTC)) < timedelta(minutes=5)


def test_an_idle_session_reads_as_expired(user, settings, later):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 600, "TOUCH_INTERVAL": 60}
    idle = App(user)
    later(600)
    app = App(user)
    assert ids(app.get("/sessions?state=expired")) == [idle.id]
    assert app.get(f"/sessions/{idle.id}").json()["state"] == "expired"
    assert problem(idle.get("/sessions/current")) == "401 not_authenticated"


def test_pages_are_bounded_and_leave_nothing_out(user, app):
    UserSessionFactory.create_batch(24, user=user)
    everything = ids(app.get("/sessions?limit=100"))
    assert len(everything) == 25
    assert ids(app.get("/sessions")) == everything[:20]
    assert ids(app.get("/sessions?offset=20")) == everything[20:]
    assert ids(app.get("/sessions?limit=3&offset=23")) == everything[23:]
    for offset in (25, 100_000):
        answer = app.get(f"/sessions?offset={offset}")
        assert (ids(answer), answer.json()["count"]) == ([], 25)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=",
        "limit=x",
        "limit=1.5",
        "limit=9" * 50,
        "offset=-1",
        "offset=100001",
        f"offset={2**63}",
        "offset=%00",
        "state=",
        "state=ACTIVE",
        "state=ended",
        "state=filter",
        "state=%00",
    ],
)
@pytest.mark.parametrize("of", ["own", "a user's"])
def test_a_query_of_another_form_is_told_so(user, target, app, query, of):
    permit(user, "view")
    path = "/sessions" if of == "own" else staff_path(target)
    assert problem(app.get(f"{path}?{query}")) == "422 invalid_request"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_foreign_session_and_an_unknown_one_are_told_apart_by_nobody(app, method):
    theirs = UserSessionFactory()
    ended = UserSessionFactory(revoked=True)
    body = {"is_trusted": True} if method == "PATCH" else None
    answers = [
        app.call(method, f"/sessions/{pk}", body)
        for pk in (theirs.pk, ended.pk, uuid4(), "0" * 32, str(uuid4()).upper())
    ]
    assert {problem(answer) for answer in answers} == {"404 not_found"}
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1
    theirs.refresh_from_db()
    assert theirs.is_active
    assert not theirs.is_trusted


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "session_id", ["x", "1", "%00", "..", "null", "0" * 31, "0" * 33, "%F0%9F%98%80", "'"]
)
def test_what_is_no_id_at_all_is_told_so(app, method, session_id):
    answer = app.call(method, f"/sessions/{session_id}", {"is_trusted": True} if method == "PATCH" else None)
    assert problem(answer) == "422 invalid_request"


def test_the_current_session_is_the_one_that_asks(client, user, app):
    own = log_in(client, user)
    by_cookie, by_token = client.get("/api/sessions/current"), app.get("/sessions/current")
    assert (by_cookie.json()["id"], by_token.json()["id"]) == (str(own.pk), app.id)
    assert by_cookie.json()["is_current"] is by_token.json()["is_current"] is True
    assert by_token["Cache-Control"] == by_cookie["Cache-Control"] == "no-store"
    assert client.get(f"/api/sessions/{app.id}").json()["is_current"] is False


# Trusting.


@pytest.mark.parametrize("which", ["own", "another"])
def test_a_device_is_trusted_and_not_any_more(user, app, which):
    session = app.session if which == "own" else UserSessionFactory(user=user)
    for value in (True, True, False):
        answer = app.call("PATCH", f"/sessions/{session.pk}", {"is_trusted": value})
        assert (answer.status_code, answer.json()["is_trusted"]) == (200, value)
        assert set(answer.json()) == SESSION
        session.refresh_from_db()
        assert session.is_trusted is value


@pytest.mark.parametrize("trait", ["revoked", "expired"])
def test_an_ended_session_is_trusted_no_more(user, app, trait):
    ended = UserSessionFactory(user=user, **{trait: True})
    assert problem(app.call("PATCH", f"/sessions/{ended.pk}", {"is_trusted": True})) == "404 not_found"
    ended.refresh_from_db()
    assert not ended.is_trusted


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"is_trusted": None},
        {"is_trusted": 1},
        {"is_trusted": "true"},
        {"is_trusted": True, "expires_at": "2999-01-01T00:00:00Z"},
        {"is_trusted": True, "user": 1},
        {"revoked_at": None},
    ],
)
def test_nothing_but_trust_is_changed(app, body):
    before = app.get("/sessions/current").json()
    assert problem(app.call("PATCH", f"/sessions/{app.id}", body)) == "422 invalid_request"
    assert app.get("/sessions/current").json() == before


def test_a_change_that_is_not_json_is_told_so(app):
    answer = app.client.patch(f"/api/sessions/{app.id}", "{", JSON, headers=app.headers)
    assert problem(answer) == "400 malformed_request"


# Ending.


def test_signing_out_by_token_ends_the_session_and_no_other(user, app, sent):
    other = App(user)
    answer = app.delete("/sessions/current")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Cache-Control"] == "no-store"
    assert app.session.revoked_reason == "logout"
    assert problem(app.get("/sessions/current")) == "401 not_authenticated"
    assert problem(refresh(app.tokens["refresh_token"])) == "401 invalid_refresh_token"
    assert other.get("/sessions/current").status_code == 200
    assert [(s.user, s.request.path) for s in sent.logouts] == [(user, "/api/sessions/current")]
    assert app.session.revoked_reason == "logout"


def test_signing_out_by_cookie_ends_the_session_and_clears_the_cookie(client, user, engine, sent):
    own, app = log_in(client, user), App(user)
    old = client.cookies["sessionid"].value
    answer = client.delete("/api/sessions/current")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.cookies["sessionid"]["max-age"] == 0
    assert answer["Cache-Control"] == "no-store"
    own.refresh_from_db()
    assert own.revoked_reason == "logout"
    client.cookies["sessionid"] = old
    assert client.get("/who/").content == b"nobody"
    assert problem(client.get("/api/sessions/current")) == "401 not_authenticated"
    assert app.get("/sessions/current").status_code == 200
    assert [(s.user, s.request.path) for s in sent.logouts] == [(user, "/api/sessions/current")]


def test_signing_out_by_token_leaves_the_browser_that_asks_signed_in(client, user, app):
    own = log_in(client, user)
    answer = client.delete("/api/sessions/current", headers=app.headers)
    assert answer.status_code == 204
    assert not answer.cookies
    assert app.session.revoked_reason == "logout"
    assert client.get("/row/").content.decode() == str(own.pk)


def test_ending_the_current_session_by_its_id_is_signing_out(client, user, app, sent):
    own = log_in(client, user)
    answer = client.delete(f"/api/sessions/{own.pk}")
    assert answer.status_code == 204
    assert answer.cookies["sessionid"]["max-age"] == 0
    assert app.delete(f"/sessions/{app.id}").status_code == 204
    own.refresh_from_db()
    assert own.revoked_reason == app.session.revoked_reason == "logout"
    assert problem(app.get("/sessions")) == "401 not_authenticated"
    assert [s.user for s in sent.logouts] == [user, user]


def test_one_session_is_ended_from_another(client, user, app):
    own, other = log_in(client, user), App(user)
    for pk in (own.pk, other.id):
        answer = app.delete(f"/sessions/{pk}")
        assert (answer.status_code, answer.content) == (204, b"")
    own.refresh_from_db()
    assert own.revoked_reason == other.session.revoked_reason == "user"
    assert client.get("/who/").content == b"nobody"
    assert problem(other.get("/sessions/current")) == "401 not_authenticated"
    assert app.get("/sessions/current").status_code == 200


@pytest.mark.parametrize("trait", ["revoked", "expired"])
def test_ending_an_ended_session_keeps_what_it_was(user, app, trait):
    ended = UserSessionFactory(user=user, **{trait: True})
    if trait == "revoked":
        UserSession.objects.filter(pk=ended.pk).update(revoked_reason="stolen")
    for _ in range(2):
        assert app.delete(f"/sessions/{ended.pk}").status_code == 204
    told = app.get(f"/sessions/{ended.pk}").json()
    assert (told["state"], told["revoked_reason"]) == {
        "revoked": ("revoked", "stolen"),
        "expired": ("expired", ""),
    }[trait]


def test_all_other_sessions_are_ended(client, user, app):
    log_in(client, user)
    others = [App(user), App(user)]
    theirs = UserSessionFactory()
    revoked = UserSessionFactory(user=user, revoked=True)
    expired = UserSessionFactory(user=user, expired=True)
    answer = app.delete("/sessions")
    assert (answer.status_code, answer.json()) == (200, {"revoked": 3})
    assert answer["Cache-Control"] == "no-store"
    assert {other.session.revoked_reason for other in others} == {"user"}
    assert client.get("/who/").content == b"nobody"
    assert app.get("/sessions/current").status_code == 200
    assert app.delete("/sessions").json() == {"revoked": 0}
    for untouched in (theirs, revoked, expired):
        before = untouched.revoked_at
        untouched.refresh_from_db()
        assert untouched.revoked_at == before


def test_a_device_whose_session_ends_meanwhile_is_not_trusted(app, monkeypatch):
    trust = UserSession.trust

    def trust_late(session):
        session.revoke("stolen")
        return trust(session)

    monkeypatch.setattr(UserSession, "trust", trust_late)
    answer = app.call("PATCH", f"/sessions/{app.id}", {"is_trusted": True})
    assert answer.status_code == 404
    assert not UserSession.objects.get(pk=app.id).is_trusted
