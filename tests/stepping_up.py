"""A site whose views ask for a fresh login, in both worlds, and pages of its own that confirm."""

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.urls import include, path
from django.views.generic import View

from sessions_ext.receivers import on_step_completed
from sessions_ext.step_up import (
    FreshLoginRequiredMixin,
    areauthenticated,
    fresh_login_required,
    is_fresh,
    reauthenticated,
)

HOUR = timedelta(hours=1)


@fresh_login_required
def secret(request):
    return HttpResponse("secret")


@fresh_login_required(within=HOUR)
def hourly(request):
    return HttpResponse("hourly")


@fresh_login_required
async def asecret(request):
    return HttpResponse("secret")


@fresh_login_required(within=timedelta(0))
def strict(request):
    return HttpResponse("strict")


class Page(FreshLoginRequiredMixin, View):
    fresh_within = HOUR

    def get(self, request):
        return HttpResponse("page")


class AsyncPage(FreshLoginRequiredMixin, View):
    async def get(self, request):
        return HttpResponse("page")


def confirmed(request):
    return HttpResponse(str(reauthenticated(request)))


async def aconfirmed(request):
    return HttpResponse(str(await areauthenticated(request)))


def failing(request):
    reauthenticated(request)
    raise RuntimeError("after the confirmation")


def by_a_package(request):
    """As allauth tells of a proof, and of a step that is none."""
    proof = {"reauthenticated": True} if "proof" in request.GET else {}
    user = get_user_model()(pk=0) if "other" in request.GET else request.user
    on_step_completed(type(user), request=request, user=user, method="password", **proof)
    return HttpResponse("ok")


def emptied(request):
    """The page removes all that it does not know to be Django's."""
    for key in [key for key, _ in request.session.items() if not key.startswith("_auth")]:
        del request.session[key]
    return HttpResponse("ok")


def elsewhere(request):
    return "/sso/"


def fresh(request):
    return HttpResponse(str(is_fresh(request)))


urlpatterns = [
    path("secret/", secret),
    path("hourly/", hourly),
    path("asecret/", asecret),
    path("strict/", strict),
    path("page/", Page.as_view()),
    path("half-page/", Page.as_view(fresh_within=timedelta(minutes=30))),
    path("apage/", AsyncPage.as_view()),
    path("confirmed/", confirmed),
    path("aconfirmed/", aconfirmed),
    path("failing/", failing),
    path("by-a-package/", by_a_package),
    path("emptied/", emptied),
    path("fresh/", fresh),
    path("sso/", fresh, name="sso"),
    path("", include("tests.urls")),
]
