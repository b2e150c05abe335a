"""The API as a project mounts it, with operations of the project's own beside it."""

from django.contrib.auth import alogout, logout
from django.contrib.auth import login as cookie_login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.urls import path as url
from ninja import NinjaAPI, Router
from ninja.errors import HttpError, ValidationError

from sessions_ext.api import BearerAuth, CookieAuth, login_router, router, session_auth, staff_router

api = NinjaAPI(urls_namespace="api")
api.add_router("", login_router)
api.add_router("", router)
api.add_router("", staff_router)
beside = Router()
api.add_router("", beside)


@beside.post("/sessions/export", auth=None)
@beside.post("/plain", auth=None)
def plain(request):
    return "plain"


@beside.post("/sessions/aexport", auth=None)
async def aplain(request):
    return "plain"


AUTH = {
    "both": session_auth,
    "reversed": [CookieAuth(), BearerAuth()],
    "bearer": BearerAuth(),
    "cookie": CookieAuth(),
}


def named(request):
    return {"user": request.user.get_username(), "session": str(request.user_session.pk)}


async def anamed(request):
    user, session = await request.auser(), await request.auser_session()
    return {"user": user.get_username(), "session": str(session.pk)}


for path, auth in AUTH.items():
    api.api_operation(["GET", "POST"], f"/{path}", auth=auth, operation_id=path)(named)
    api.api_operation(["GET", "POST"], f"/a{path}", auth=auth, operation_id=f"a{path}")(anamed)


@api.post("/cookie-for-bearer", auth=BearerAuth())
def cookie_for_bearer(request):
    cookie_login(request, request.user, "django.contrib.auth.backends.ModelBackend")
    return named(request)


def after_logout(request):
    is_carried = bool(request.user_session)
    return {"is_authenticated": request.user.is_authenticated, "has_session": is_carried}


@api.post("/logout", auth=session_auth)
def django_logout(request):
    logout(request)
    return after_logout(request)


@api.post("/alogout", auth=session_auth)
async def django_alogout(request):
    await alogout(request)
    user, session = await request.auser(), await request.auser_session()
    return {"is_authenticated": user.is_authenticated, "has_session": bool(session)}


@api.post("/logout-twice", auth=session_auth)
def django_logout_twice(request):
    logout(request)
    return django_logout(request)


@api.post("/alogout-twice", auth=session_auth)
async def django_alogout_twice(request):
    await alogout(request)
    return await django_alogout(request)


@api.get("/basket", auth=session_auth)
def basket(request):
    """Reads the data of the cookie's session, whoever asks."""
    request.session.get("basket")
    return named(request)


# A project whose API answers errors in its own way.
handled = NinjaAPI(urls_namespace="handled")
handled.add_router("", login_router)
handled.add_router("", router)
handled.add_router("", staff_router)


@handled.exception_handler(HttpError)
@handled.exception_handler(ValidationError)
def answer_in_html(request, error):
    return HttpResponse("<h1>No.</h1>", status=getattr(error, "status_code", 422))


# A project with Django's LoginRequiredMiddleware.
behind_login = NinjaAPI(urls_namespace="behind-login", auth=session_auth)
behind_login.add_router("", login_router)
behind_login.add_router("", router)
behind_login.add_router("", staff_router)
api_urls = behind_login.urls
for pattern in api_urls[0]:
    login_not_required(pattern.callback)
urlpatterns = [url("api/", api_urls)]
