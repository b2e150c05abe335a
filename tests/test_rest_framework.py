"""Views of Django REST framework behind our access tokens, with the real package."""

from datetime import timedelta

import pytest
from django.contrib.auth import logout
from django.test import Client
from django.urls import include, path
from django.utils import timezone

pytest.importorskip("rest_framework")
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from sessions_ext.models import UserSession
from sessions_ext.rest_framework import BearerAuthentication, IsFresh
from sessions_ext.testing import log_in
from tests.api.calls import App

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class Named(APIView):
    authentication_classes = (BearerAuthentication,)
    permission_classes = (IsAuthenticated,)
    renderer_classes = (JSONRenderer,)
    schema = AutoSchema()

    def get(self, request) -> Response:
        session = request.auth
        assert isinstance(session, UserSession)
        assert request.user_session is request._request.user_session is session
        assert request.user is request._request.user is session.user
        return Response({"user": request.user.get_username(), "session": str(session.pk)})

    def post(self, request) -> Response:
        logout(request)
        return Response({"user": request.user.get_username(), "session": str(request.user_session)})


class ByEither(Named):
    authentication_classes = (BearerAuthentication, SessionAuthentication)

    def get(self, request) -> Response:
        return Response({"user": request.user.get_username(), "session": str(request.user_session.pk)})


class Secret(ByEither):
    permission_classes = (IsAuthenticated, IsFresh)


class Hourly(Secret):
    permission_classes = (IsFresh,)
    fresh_within = timedelta(hours=1)


urlpatterns = [
    path("named/", Named.as_view()),
    path("secret/", Secret.as_view()),
    path("hourly/", Hourly.as_view()),
    path("either/", ByEither.as_view()),
    path("", include("tests.urls")),
]


def visit(app=None, path="/named/", **more):
    return (app.client if app else Client()).get(path, headers=app.headers if app else {}, **more)


def test_a_view_knows_the_user_and_the_session_by_one_query(user, django_assert_num_queries):
    app = App(user)
    with django_assert_num_queries(1):
        answer = visit(app)
    assert answer.json() == {"user": user.get_username(), "session": app.id}


def test_who_has_no_token_is_told_how_to_authenticate():
    answer = visit()
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("token", ["x", "", "refresh"])
def test_a_wrong_token_is_told_so_and_costs_no_query(user, django_assert_num_queries, token):
    token = App(user).tokens["refresh_token"] if token == "refresh" else token
    with django_assert_num_queries(0):
        answer = Client().get("/named/", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert answer.json() == {"detail": "Sign in, or refresh the access token."}


def revoke(app):
    app.session.revoke("stolen")


def change_password(app):
    user = app.session.user
    user.set_password("another")
    user.save()


def change_password_behind_our_back(app):
    user = app.session.user
    user.set_password("another")
    type(user)._base_manager.filter(pk=user.pk).update(password=user.password)


def deactivate(app):
    user = app.session.user
    user.is_active = False
    user.save()


def deactivate_behind_our_back(app):
    user = app.session.user
    type(user)._base_manager.filter(pk=user.pk).update(is_active=False)


def delete(app):
    app.session.user.delete()


ENDS = [revoke, change_password, change_password_behind_our_back, deactivate, deactivate_behind_our_back]


@pytest.mark.parametrize("end", [*ENDS, delete])
def test_a_token_is_refused_at_once_when_its_session_has_ended(user, end):
    app = App(user)
    assert visit(app).status_code == 200
    end(app)
    assert visit(app).status_code == 401


def test_a_token_expires(user, later):
    app = App(user)
    later(15 * 60 + 1)
    assert visit(app).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_activity_is_recorded(user, later, django_assert_num_queries):
    app = App(user, REMOTE_ADDR="192.0.2.1")
    later(60)
    with django_assert_num_queries(2):
        visit(app, REMOTE_ADDR="198.51.100.7")
    assert app.session.last_activity_at == timezone.now()
    assert app.session.last_ip_address == "198.51.100.7"
    with django_assert_num_queries(1):
        visit(app)


def test_beside_the_cookie_a_token_comes_first_and_a_wrong_one_is_refused(client, user):
    own, app = log_in(client, user), App(user)
    assert client.get("/either/").json()["session"] == str(own.pk)
    assert client.get("/either/", headers=app.headers).json()["session"] == app.id
    assert client.get("/either/", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_token_needs_no_csrf_token(user):
    app = App(user, enforce_csrf_checks=True)
    assert app.client.post("/named/", headers=app.headers).status_code == 200


def test_djangos_logout_in_a_view_ends_the_tokens_session_and_not_the_browsers(client, user):
    own, app = log_in(client, user), App(user)
    answer = client.post("/named/", headers=app.headers)
    assert answer.json() == {"user": "", "session": "None"}
    assert not answer.cookies
    assert app.session.revoked_reason == "logout"
    own.refresh_from_db()
    assert own.is_active


def test_it_works_without_the_session_middleware(settings, user):
    settings.MIDDLEWARE = []
    app = App(user)
    assert visit(app).json()["session"] == app.id


@pytest.mark.parametrize(("path", "age"), [("/secret/", 900), ("/hourly/", 3600)])
def test_a_view_that_asks_for_a_fresh_login_says_so_until_the_client_confirms(client, user, later, path, age):
    app = App(user)
    log_in(client, user)
    for answer in (visit(app, path), client.get(path)):
        assert answer.status_code == 200
    later(age)
    app = App(user, "password")
    UserSession.objects.filter(pk=app.id).update(authenticated_at=timezone.now() - timedelta(seconds=age))
    for answer in (visit(app, path), client.get(path)):
        challenge = f'Bearer error="insufficient_user_authentication", max_age="{age}"'
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, challenge)
        assert answer.json() == {"detail": "Confirm your password, or sign in again."}
    confirmed = app.call("POST", "/sessions/current/confirm", {"password": "password"})
    app.headers = {"Authorization": f"Bearer {confirmed.json()['access_token']}"}
    assert visit(app, path).status_code == 200


@pytest.mark.parametrize("path", ["/secret/", "/hourly/"])
def test_nobody_is_told_to_authenticate_and_not_to_confirm(path):
    answer = Client().get(path)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_drf_spectacular_describes_the_scheme():
    document = SchemaGenerator(patterns=urlpatterns[:1]).get_schema(request=None, public=True)
    assert document["components"]["securitySchemes"] == {
        "BearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    assert document["paths"]["/named/"]["get"]["security"] == [{"BearerAuth": []}]
