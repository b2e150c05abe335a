"""Calls of the API as its clients make them, and what they are answered."""

import json
from uuid import uuid4

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from sessions_ext.api.problems import PROBLEMS
from sessions_ext.models import UserSession

JSON = "application/json"
SESSION = {
    "id",
    "state",
    "is_current",
    "is_trusted",
    "is_impersonated",
    "device_info",
    "user_agent",
    "ip_address",
    "last_ip_address",
    "location",
    "created_at",
    "last_activity_at",
    "expires_at",
    "revoked_at",
    "revoked_reason",
    "ended_by",
}


class App:
    """A mobile app: no cookies, its access token with each call. Takes what a test client takes."""

    def __init__(self, user, password="password", **defaults):
        self.client = Client(**defaults)
        answer = sign_in(user.get_username(), password, self.client)
        assert answer.status_code == 201, answer.content
        self.tokens = answer.json()
        self.id = self.tokens["session"]["id"]
        self.headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}

    def call(self, method, path, data=None, **more):
        body = "" if data is None else json.dumps(data)
        headers = self.headers | more.pop("headers", {})
        return self.client.generic(method, f"/api{path}", body, JSON, headers=headers, **more)

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def delete(self, path, **more):
        return self.call("DELETE", path, **more)

    @property
    def session(self):
        return UserSession.objects.get(pk=self.id)


def sign_in(username, password="password", client=None, **more):
    body = {"username": username, "password": password}
    return (client or Client()).post("/api/sessions", body, JSON, **more)


def refresh(token, **more):
    return Client().post("/api/sessions/refresh", {"refresh_token": token}, JSON, **more)


def problem(response):
    """The status and code of an answer that is a problem in every respect."""
    body = response.json()
    status, detail = PROBLEMS[body["code"]]
    assert body["status"] == response.status_code == status
    assert body["detail"] == str(detail)
    assert body["type"] == "about:blank"
    assert body["title"] == response.reason_phrase
    assert set(body) - {"errors", "methods", "max_age", "sessions", "session_ended"} == {
        "type",
        "title",
        "status",
        "detail",
        "code",
    }
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    assert response.has_header("WWW-Authenticate") == (status == 401)
    assert response.has_header("Retry-After") == (status == 429)
    assert not any(cookie.value for cookie in response.cookies.values())
    return f"{status} {body['code']}"


def ids(response):
    assert response.status_code == 200, response.content
    return [session["id"] for session in response.json()["items"]]


def permit(user, *actions):
    codenames = [f"{action}_usersession" for action in actions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def staff_path(user, session=None):
    path = f"/users/{user.pk}/sessions"
    return f"{path}/{session.pk}" if session else path


def unknown_ids():
    kind = get_user_model()._meta.pk.get_internal_type()
    always = [
        "%00",
        "a%00b",
        "a%0Ab",
        "%F0%9F%98%80",
        "-1",
        "0",
        "x",
        "x" * 5000,
        "None",
        "1.5",
        "1e3",
        "9" * 30,
        "9" * 5000,
        "-" + "9" * 30,
    ]
    return always + {
        "UUIDField": [str(uuid4()), "0" * 32, "0" * 33],
        "CharField": ["nobody", "\u0660", "a/b", "/"],
    }.get(kind, [str(2**31), str(2**63), str(-(2**63) - 1), str(uuid4()), "987654321"])


CSRF = "c" * 32
