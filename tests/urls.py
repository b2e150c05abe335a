"""A small site for the tests: each path does what its name says, in both worlds."""

from contextlib import suppress

from django.contrib import admin
from django.contrib.auth import alogin, alogout, authenticate, login, logout, views
from django.contrib.auth.decorators import login_not_required, login_required
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.template import RequestContext, Template
from django.urls import include, path

from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import UserSession
from tests.mounted_api import api, handled


def who(request):
    return HttpResponse(request.user.get_username() or "nobody")


async def awho(request):
    user = await request.auser()
    return HttpResponse(user.get_username() or "nobody")


def row(request):
    return HttpResponse(str(request.user_session.pk) if request.user_session else "none")


async def arow(request):
    session = await request.auser_session()
    return HttpResponse(str(session.pk) if session else "none")


def data(request):
    return JsonResponse(dict(request.session.items()))


async def adata(request):
    return JsonResponse(dict(await request.session.aitems()))


def untouched(request):
    return HttpResponse("ok")


async def auntouched(request):
    return HttpResponse("ok")


def put(request):
    request.session[request.GET["key"]] = request.GET["value"]
    return HttpResponse("ok")


def set_expiry(request):
    request.session.set_expiry(int(request.GET["seconds"]))
    return HttpResponse("ok")


@login_not_required
def sign_in(request):
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    if user is None:
        return HttpResponse("no", status=401)
    login(request, user)
    return HttpResponse(request.user.get_username())


async def asign_in(request):
    user = await authenticate_in_thread(request)
    await alogin(request, user)
    return HttpResponse((await request.auser()).get_username())


async def authenticate_in_thread(request):
    from asgiref.sync import sync_to_async

    return await sync_to_async(authenticate)(
        request, username=request.POST["username"], password=request.POST["password"]
    )


def sign_out(request):
    logout(request)
    return HttpResponse(request.user.get_username() or "nobody")


async def asign_out(request):
    await alogout(request)
    return HttpResponse((await request.auser()).get_username() or "nobody")


def sign_in_caught(request):
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    with suppress(SessionLimitReached):
        login(request, user)
    return HttpResponse(f"{who(request).content.decode()}, {row(request).content.decode()}")


async def asign_in_caught(request):
    user = await authenticate_in_thread(request)
    with suppress(SessionLimitReached):
        await alogin(request, user)
    name, session = await awho(request), await arow(request)
    return HttpResponse(f"{name.content.decode()}, {session.content.decode()}")


def sign_in_and_row(request):
    row(request)
    sign_in(request)
    return row(request)


def sign_out_and_row(request):
    row(request)
    logout(request)
    return row(request)


def clear_and_sign_in(request):
    row(request)
    request.session.clear()
    return sign_in(request)


def revoke_and_sign_in(request):
    """Revoked by somebody else while the person is typing the password."""
    UserSession.objects.filter(pk=request.user_session.pk).revoke("admin")
    return sign_in_caught(request) if "caught" in request.GET else sign_in(request)


def set_password(request):
    user = request.user
    user.set_password("another")
    user.save()
    return HttpResponse("ok")


def flush(request):
    request.session.flush()
    return HttpResponse("ok")


def cycle(request):
    request.session.cycle_key()
    return HttpResponse("ok")


@transaction.atomic
def adopt_and_flush(request):
    request.user.get_username()
    request.session.flush()
    return HttpResponse("ok")


def put_after_loss(request):
    request.session["key"] = "value"
    request.session.delete(request.session.session_key)
    return HttpResponse("ok")


def fail(request):
    who(request)
    raise RuntimeError("the view failed")


@transaction.atomic
def roll_back(request):
    request.user.get_username()
    transaction.set_rollback(True)
    return HttpResponse("rolled back")


@login_required
def private(request):
    return HttpResponse("private")


def embedded(request):
    """A page of the project's own, with the list in it."""
    page = Template("{% load sessions_ext %}<h1>Account</h1>{% user_sessions next='/embedded/' %}")
    return HttpResponse(page.render(RequestContext(request)))


urlpatterns = [
    path("who/", who),
    path("awho/", awho),
    path("row/", row),
    path("arow/", arow),
    path("data/", data),
    path("adata/", adata),
    path("untouched/", untouched),
    path("auntouched/", auntouched),
    path("put/", put),
    path("expiry/", set_expiry),
    path("login/", sign_in),
    path("alogin/", asign_in),
    path("logout/", sign_out),
    path("alogout/", asign_out),
    path("flush/", flush),
    path("revoke-and-login/", revoke_and_sign_in),
    path("set-password/", set_password),
    path("login-caught/", sign_in_caught),
    path("alogin-caught/", asign_in_caught),
    path("login-and-row/", sign_in_and_row),
    path("logout-and-row/", sign_out_and_row),
    path("clear-and-login/", clear_and_sign_in),
    path("cycle/", cycle),
    path("adopt-and-flush/", adopt_and_flush),
    path("put-after-loss/", put_after_loss),
    path("fail/", fail),
    path("roll-back/", roll_back),
    path("private/", private),
    path("password/", views.PasswordChangeView.as_view(success_url="/who/")),
    path("reset/<uidb64>/<token>/", views.PasswordResetConfirmView.as_view(success_url="/who/")),
    path("devices/", include("sessions_ext.urls")),
    path("embedded/", embedded),
    path("reset/", views.PasswordResetView.as_view(), name="password_reset"),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("handled/", handled.urls),
]
