"""A site that does with its session what other packages do, each page in both worlds."""

import copy
import pickle
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from types import SimpleNamespace

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.middleware import get_user
from django.db import Error
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from django.utils.functional import SimpleLazyObject, empty

from sessions_ext.exceptions import SessionLimitReached

BACKEND = "django.contrib.auth.backends.ModelBackend"

# What happens while a view is at work; a test sets it.
meanwhile = SimpleNamespace(act=lambda: None)
# What the page "do/" does with its request; a test sets it. `ado` is for the async one alone.
page = SimpleNamespace(do=lambda request: None, ado=None)


def user_named(name):
    return auth.get_user_model()._default_manager.get_by_natural_key(name)


def session_store(key=None):
    return import_module(settings.SESSION_ENGINE).SessionStore(key)


# What a page sees


def seen(request):
    session = request.user_session
    return JsonResponse(
        {
            "user": request.user.get_username() or None,
            "row": str(session.pk) if session else None,
            "data": dict(request.session.items()),
        }
    )


async def aseen(request):
    session = await request.auser_session()
    return JsonResponse(
        {
            "user": (await request.auser()).get_username() or None,
            "row": str(session.pk) if session else None,
            "data": dict(await request.session.aitems()),
        }
    )


def touch(request):
    """Read what ?first= says, so that it is known before the page goes on."""
    match request.GET.get("first"):
        case "user":
            request.user.get_username()
        case "row":
            bool(request.user_session)
        case "data":
            request.session.get("cart")


async def atouch(request):
    match request.GET.get("first"):
        case "user":
            await request.auser()
        case "row":
            await request.auser_session()
        case "data":
            await request.session.aget("cart")


def put(request):
    request.session["cart"] = request.GET["cart"]
    return HttpResponse("ok")


async def aput(request):
    await request.session.aset("cart", request.GET["cart"])
    return HttpResponse("ok")


def sign_in(request):
    auth.login(request, user_named(request.POST["username"]), BACKEND)
    return seen(request)


async def asign_in(request):
    await auth.alogin(request, await sync_to_async(user_named)(request.POST["username"]), BACKEND)
    return await aseen(request)


def sign_out(request):
    auth.logout(request)
    return seen(request)


async def asign_out(request):
    await auth.alogout(request)
    return await aseen(request)


def change_password(request):
    request.user.set_password(request.POST["password"])
    request.user.save()
    auth.update_session_auth_hash(request, request.user)
    return seen(request)


async def achange_password(request):
    user = await request.auser()
    await sync_to_async(user.set_password)(request.POST["password"])
    await user.asave()
    await auth.aupdate_session_auth_hash(request, user)
    return await aseen(request)


def expire_in(request):
    request.session.set_expiry(int(request.GET["seconds"]))
    return seen(request)


async def aexpire_in(request):
    await request.session.aset_expiry(int(request.GET["seconds"]))
    return await aseen(request)


# Logins that come to nothing


def sign_in_and_answer(request):
    sign_in(request)
    if request.GET["status"] == "raise":
        raise RuntimeError("after the login")
    return HttpResponse(status=int(request.GET["status"]))


async def asign_in_and_answer(request):
    await asign_in(request)
    if request.GET["status"] == "raise":
        raise RuntimeError("after the login")
    return HttpResponse(status=int(request.GET["status"]))


def sign_in_caught(request):
    try:
        return sign_in(request)
    except (ValueError, Error, SessionLimitReached):
        return seen(request)


async def asign_in_caught(request):
    try:
        return await asign_in(request)
    except (ValueError, Error, SessionLimitReached):
        return await aseen(request)


# What a test says


def do(request):
    return page.do(request) or HttpResponse("ok")


async def ado(request):
    return await (page.ado or sync_to_async(page.do))(request) or HttpResponse("ok")


# Another store in the place of the request's


def replace(request):
    touch(request)
    request.session = request.session.__class__(request.session.session_key)
    if cart := request.GET.get("cart"):
        request.session["cart"] = cart
    return seen(request)


async def areplace(request):
    await atouch(request)
    request.session = request.session.__class__(request.session.session_key)
    if cart := request.GET.get("cart"):
        await request.session.aset("cart", cart)
    return await aseen(request)


def replace_and_sign_in(request):
    """As the callback of a single sign-on does: what was stored meanwhile is to be read."""
    touch(request)
    request.session["state"] = "used"
    request.session.save()
    request.session = request.session.__class__(request.session.session_key)
    return sign_in(request)


async def areplace_and_sign_in(request):
    await atouch(request)
    await request.session.aset("state", "used")
    await request.session.asave()
    request.session = request.session.__class__(request.session.session_key)
    return await asign_in(request)


def replace_and_sign_out(request):
    touch(request)
    request.session = request.session.__class__(request.session.session_key)
    return sign_out(request)


async def areplace_and_sign_out(request):
    await atouch(request)
    request.session = request.session.__class__(request.session.session_key)
    return await asign_out(request)


def resolve_user_anew(request):
    """Forget who Django thinks the user is, in one of the two ways that there are."""
    for name in ("_cached_user", "_acached_user"):
        vars(request).pop(name, None)
    if request.headers["X-Way"] == "emptied" and isinstance(request.user, SimpleLazyObject):
        request.user._wrapped = empty
    else:
        request.user = SimpleLazyObject(lambda: get_user(request))


@contextmanager
def session_of_token(request):
    """The session whose key the token is stands in for that of the cookie."""
    before = request.user, request.session
    request.session = session_store(request.headers.get("X-Token"))
    resolve_user_anew(request)
    try:
        yield
    finally:
        if request.session.modified and not request.session.is_empty():
            request.session.save()
        request.user, request.session = before


@asynccontextmanager
async def asession_of_token(request):
    before = request.user, request.session
    request.session = session_store(request.headers.get("X-Token"))
    resolve_user_anew(request)
    try:
        yield
    finally:
        if request.session.modified and not request.session.is_empty():
            await request.session.asave()
        request.user, request.session = before


def by_token(view):
    def call(request):
        touch(request)
        with session_of_token(request):
            return view(request)

    return call


def aby_token(view):
    async def call(request):
        await atouch(request)
        async with asession_of_token(request):
            return await view(request)

    return call


# Copies, and what is read late


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda store: pickle.loads(pickle.dumps(store)),
    "new": lambda store: type(store)(store.session_key),
}


def copied(request):
    touch(request)
    twin = COPIES[request.GET["how"]](request.session)
    meanwhile.act()
    return JsonResponse(dict(twin.items()))


async def acopied(request):
    await atouch(request)
    twin = COPIES[request.GET["how"]](request.session)
    await sync_to_async(meanwhile.act)()
    return JsonResponse(dict(await twin.aitems()))


def error_then_data(request):
    """A page that goes on where the database failed while the user was looked up."""
    try:
        request.user.get_username()
    except Error:
        return seen(request)
    return HttpResponse("no error", status=500)


async def aerror_then_data(request):
    try:
        await request.auser()
    except Error:
        return await aseen(request)
    return HttpResponse("no error", status=500)


def slow(request):
    """Reads what ?first= says, and goes on as ?then= says after what happens meanwhile."""
    touch(request)
    meanwhile.act()
    match request.GET["then"]:
        case "write":
            request.session["cart"] = "late"
        case "cycle":
            request.session.cycle_key()
        case "save":
            request.session.save()
        case "logout":
            auth.logout(request)
        case "login":
            return sign_in(request)
    return HttpResponse("ok")


async def aslow(request):
    await atouch(request)
    await sync_to_async(meanwhile.act)()
    match request.GET["then"]:
        case "write":
            await request.session.aset("cart", "late")
        case "cycle":
            await request.session.acycle_key()
        case "save":
            await request.session.asave()
        case "logout":
            await auth.alogout(request)
        case "login":
            return await asign_in(request)
    return HttpResponse("ok")


PAGES = {
    "seen/": (seen, aseen),
    "put/": (put, aput),
    "login/": (sign_in, asign_in),
    "logout/": (sign_out, asign_out),
    "password/": (change_password, achange_password),
    "expire-in/": (expire_in, aexpire_in),
    "login-and-answer/": (sign_in_and_answer, asign_in_and_answer),
    "login-caught/": (sign_in_caught, asign_in_caught),
    "replace/": (replace, areplace),
    "replace-and-login/": (replace_and_sign_in, areplace_and_sign_in),
    "replace-and-logout/": (replace_and_sign_out, areplace_and_sign_out),
    "token/seen/": (by_token(seen), aby_token(aseen)),
    "token/login/": (by_token(sign_in), aby_token(asign_in)),
    "token/logout/": (by_token(sign_out), aby_token(asign_out)),
    "copied/": (copied, acopied),
    "error-then-data/": (error_then_data, aerror_then_data),
    "slow/": (slow, aslow),
    "do/": (do, ado),
}
urlpatterns = [
    *(path(at, view) for at, (view, _) in PAGES.items()),
    path("async/", include([path(at, view) for at, (_, view) in PAGES.items()])),
    path("devices/", include("sessions_ext.urls")),
]
