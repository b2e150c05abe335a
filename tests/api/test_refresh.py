"""Refreshing by the API."""

import pytest
from django.test import Client

from sessions_ext import tokens
from sessions_ext.models import UserSession
from tests.api.calls import JSON, App, problem, refresh

pytestmark = pytest.mark.django_db


def test_refresh_answers_with_the_next_pair(app, later):
    later(1)
    answer = refresh(app.tokens["refresh_token"])
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies
    body = answer.json()
    assert set(body) == set(app.tokens)
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    assert body["session"]["id"] == app.id
    assert body["session"]["is_current"] is True
    assert body["refresh_token"] != app.tokens["refresh_token"]
    assert body["access_token"] != app.tokens["access_token"]
    assert tokens.verify(body["access_token"]).pk == app.session.pk
    assert refresh(body["refresh_token"]).status_code == 200


def test_refresh_tells_why_not_to_a_token_of_an_ended_session_alone(user, settings):
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    app, replayed, signed_out, revoked, deleted = (App(user) for _ in range(5))
    refresh(replayed.tokens["refresh_token"])
    UserSession.objects.filter(pk=signed_out.id).revoke("logout")
    UserSession.objects.filter(pk=revoked.id).revoke("admin: stolen laptop")
    UserSession.objects.filter(pk=deleted.id).delete()
    tried = [
        "",
        "x",
        "\0",
        "\ud83d\ude00",
        "x" * 8192,
        app.tokens["access_token"],
        app.tokens["refresh_token"] + "x",
        app.tokens["refresh_token"][:-1],
        str(app.session.refresh_token_id),
        *(each.tokens["refresh_token"] for each in (replayed, signed_out, deleted)),
    ]
    answers = [refresh(token) for token in tried]
    assert {problem(answer) for answer in answers} == {"401 invalid_refresh_token"}
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1
    told = refresh(revoked.tokens["refresh_token"])
    assert problem(told) == "401 invalid_refresh_token"
    assert told.json()["session_ended"] == {"reason": "admin", "detail": "An administrator signed you out."}
    assert replayed.session.revoked_reason == "refresh_reuse"
    assert app.session.is_active


@pytest.mark.parametrize(
    "body",
    [
        b"",
        {},
        [],
        {"refresh_token": None},
        {"refresh_token": 1},
        {"refresh_token": ["x"]},
        {"refresh_token": "x" * 8193},
        {"refresh_token": "x", "grant_type": "refresh_token"},
    ],
)
def test_a_refresh_of_another_form_is_told_so(body, db):
    assert problem(Client().post("/api/sessions/refresh", body, JSON)) == "422 invalid_request"


def test_half_a_surrogate_pair_is_no_refresh_token(db):
    answer = Client().post("/api/sessions/refresh", b'{"refresh_token": "\\ud800"}', JSON)
    assert problem(answer) in {"401 invalid_refresh_token", "422 invalid_request"}


def test_a_refresh_needs_no_access_token_and_minds_none(app):
    for headers in ({"Authorization": "Bearer wrong"}, app.headers):
        answer = refresh(app.tokens["refresh_token"], headers=headers)
        assert answer.status_code == 200
        app.tokens = answer.json()
