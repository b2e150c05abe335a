"""The pages that the demo of settings_demo has beside its own."""

from datetime import timedelta

from django.http import HttpResponse
from django.urls import include, path
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.step_up import fresh_login_required


def places(user):
    return 1 if user.get_username() == "grace" else None


@fresh_login_required
def secret(request):
    return HttpResponse("<title>Secret</title><h1>The secret</h1>")


def grow_old(request):
    """As if the person had signed in an hour ago."""
    rows = UserSession.objects.filter(pk=request.user_session.pk)
    rows.update(authenticated_at=timezone.now() - timedelta(hours=1))
    return HttpResponse("<title>Older</title>")


urlpatterns = [
    path("secret/", secret),
    path("grow-old/", grow_old),
    path("", include("example_project.urls")),
]
