"""What the middleware makes of a request, and of its session."""

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from sessions_ext.engines.db import SessionStore as VerifiedEngine
from sessions_ext.middleware import UserSessionMiddleware
from sessions_ext.models import UserSession
from sessions_ext.requests import SessionOf, resolve_anew
from sessions_ext.store import verified
from sessions_ext.testing import log_in
from sessions_ext.types import SessionRequest

pytestmark = pytest.mark.django_db


def visit(view):
    request = RequestFactory().get("/")
    request.session = SessionStore()
    request.user = SimpleLazyObject(AnonymousUser)
    UserSessionMiddleware(view)(request)


def test_a_view_may_take_the_session_away():
    def view(request):
        del request.session
        assert not hasattr(request, "session")
        return HttpResponse()

    visit(view)


def test_what_is_no_store_stays_what_it_is():
    def view(request):
        request.session = {"cart": "book"}
        assert request.session == {"cart": "book"}
        return HttpResponse()

    visit(view)


def test_an_engine_is_verified_once():
    assert verified(VerifiedEngine) is VerifiedEngine


def test_async_code_loads_verified_data(client, user):
    log_in(client, user)
    key = client.session.session_key
    assert async_to_sync(VerifiedEngine(key).aload)()["_auth_user_id"] == str(user.pk)
    UserSession.objects.for_user(user).revoke("stolen")
    assert async_to_sync(VerifiedEngine(key).aload)() == {}


def test_the_row_of_a_request_is_resolved_when_it_has_to_be(user):
    request, asked = SessionRequest(), []
    request.session = SessionStore()
    session = SessionOf(request, lambda request: asked.append(request))
    assert not session
    assert session == None  # noqa: E711
    assert len(asked) == 1
    resolve_anew(session)
    assert not session
    assert len(asked) == 2
