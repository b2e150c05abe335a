"""The views of the project that the tests of concurrency visit."""

from types import SimpleNamespace

from django.contrib import auth
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import path

from tests.patience import SECONDS

gate = SimpleNamespace()


def login(request, username):
    user = auth.get_user_model().objects.get(username=username)
    auth.login(request, user, "django.contrib.auth.backends.ModelBackend")
    return redirect("/home/")


def logout(request):
    auth.logout(request)
    return redirect("/")


@login_required
def home(request):
    return HttpResponse(request.user_session.pk)


def wait_inside():
    gate.entered.set()
    assert gate.release.wait(SECONDS)


def read(request):
    assert request.user.is_authenticated
    wait_inside()
    return HttpResponse(request.user.username)


def write(request):
    assert request.user.is_authenticated
    wait_inside()
    request.session["basket"] = "a book"
    return HttpResponse()


def write_unread(request):
    wait_inside()
    request.session["basket"] = "a book"
    return HttpResponse()


def new_key(request):
    assert request.user.is_authenticated
    wait_inside()
    request.session.cycle_key()
    return HttpResponse()


def late(request):
    wait_inside()
    return home(request)


def late_logout(request):
    assert request.user.is_authenticated
    wait_inside()
    return logout(request)


HELD = {
    "read": 200,
    "write": 200,
    "write_unread": 200,
    "new_key": 200,
    "late": 302,
    "late_logout": 302,
}
urlpatterns = [
    path("login/<username>/", login),
    path("logout/", logout),
    path("home/", home),
    *(path(f"{name}/", globals()[name]) for name in HELD),
]
