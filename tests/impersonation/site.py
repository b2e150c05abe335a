"""The tests' site, where staff can act as somebody else, and stop."""

from django.contrib import auth
from django.http import HttpResponse
from django.urls import include, path

from sessions_ext.impersonation import who_acts
from sessions_ext.models import UserSession

BACKEND = "django.contrib.auth.backends.ModelBackend"
SETTINGS = {"IMPERSONATOR": "tests.impersonation.site.impersonator", "TOUCH_INTERVAL": 0}


def impersonator(request, user):
    return who_acts(request) if request.path.startswith(("/act/", "/aact/")) else None


def act(request, pk):
    """Act as this user, or be oneself again."""
    if "revoked" in request.GET:
        UserSession.objects.for_user(request.user).revoke("admin")
    auth.login(request, user_of(pk), BACKEND)
    return HttpResponse(str(request.user_session.pk))


async def aact(request, pk):
    await request.auser()
    user = await auth.get_user_model().objects.aget(pk=pk)
    await auth.alogin(request, user, BACKEND)
    return HttpResponse(str((await request.auser_session()).pk))


def user_of(pk):
    return auth.get_user_model().objects.get(pk=pk)


urlpatterns = [
    path("act/<path:pk>/", act),
    path("aact/<path:pk>/", aact),
    path("", include("tests.urls")),
]
