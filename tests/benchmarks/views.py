"""One small view for each kind of login, and the login that makes it."""

from django.apps import apps
from django.contrib.auth import get_user_model, login
from django.http import HttpResponse
from django.urls import path


def sign_in(request):
    """Answers with the header of the requests to come, or with a cookie."""
    user = get_user_model().objects.get()
    if apps.is_installed("knox"):
        from knox.models import get_token_model

        return HttpResponse(f"Token {get_token_model().objects.create(user)[1]}")
    if apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        from rest_framework_simplejwt.tokens import RefreshToken

        return HttpResponse(f"Bearer {RefreshToken.for_user(user).access_token}")
    if not hasattr(request, "session"):
        from sessions_ext import tokens

        return HttpResponse(f"Bearer {tokens.login(request, user).access_token}")
    login(request, user)
    return HttpResponse()


def who(request):
    return HttpResponse(request.user.get_username())


async def awho(request):
    user = await request.auser()
    return HttpResponse(user.get_username())


def bearer(request):
    """What a view of one's own does with a token; ninja's BearerAuth does the same."""
    from sessions_ext import activity, tokens

    session = tokens.verify(request.headers["Authorization"].removeprefix("Bearer "))
    tokens.set_login(request, session)
    activity.record(session, request)
    return who(request)


urlpatterns = [
    path("login/", sign_in),
    path("who/", who),
    path("awho/", awho),
    path("bearer/", bearer),
]

if apps.is_installed("rest_framework"):
    from rest_framework.decorators import api_view, authentication_classes

    if apps.is_installed("knox"):
        from knox.auth import TokenAuthentication as Authentication
    elif apps.is_installed("sessions_ext"):
        from sessions_ext.rest_framework import BearerAuthentication as Authentication
    else:
        from rest_framework_simplejwt.authentication import JWTAuthentication as Authentication

    drf = api_view()(authentication_classes([Authentication])(lambda request: who(request)))
    urlpatterns.append(path("drf/", drf))

if apps.is_installed("sessions_ext"):
    from ninja import NinjaAPI

    from sessions_ext.api import BearerAuth

    api = NinjaAPI(auth=BearerAuth(), docs_url=None, openapi_url=None)
    api.get("")(who)
    urlpatterns.append(path("ninja/", api.urls))
