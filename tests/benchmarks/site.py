"""GET /sessions thrice: the app's own, and the same list behind what ninja has by itself."""

import jwt
from django.conf import settings
from django.contrib.auth.models import User
from django.urls import path
from ninja import NinjaAPI, Router
from ninja.pagination import paginate
from ninja.security import HttpBearer, django_auth

from sessions_ext.api import router
from sessions_ext.api.schemas import Page, SessionsExtSession
from sessions_ext.models import UserSession


class SignatureAuth(HttpBearer):
    """Believes whatever is signed until it expires, and asks nobody."""

    def authenticate(self, request, token):
        try:
            claims = jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"])
        except jwt.InvalidTokenError:
            return None
        request.user = User(pk=claims["sub"])
        return request.user


class Listed(SessionsExtSession):
    """The same fields. Without the app no request has a session to mark as the current one."""

    @staticmethod
    def resolve_is_current(session, context):
        return session.pk is None


@paginate(Page)
def list_sessions(request):
    return UserSession.objects.for_user(request.user).newest_first().active()


def mounted(name, auth):
    own = Router(auth=auth)
    own.get("/sessions", response=list[Listed])(list_sessions)
    api = NinjaAPI(urls_namespace=name)
    api.add_router("", own)
    return path(f"{name}/", api.urls)


ours = NinjaAPI(urls_namespace="ours")
ours.add_router("", router)

urlpatterns = [
    path("ours/", ours.urls),
    mounted("django_auth", django_auth),
    mounted("signature", SignatureAuth()),
]
