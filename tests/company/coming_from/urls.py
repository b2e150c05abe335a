from django.apps import apps
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponse, JsonResponse
from django.urls import include, path


def put(request):
    request.session.update(request.GET.dict())
    return HttpResponse()


def seen(request):
    row = getattr(request, "user_session", None)
    data = {key: value for key, value in request.session.items() if not key.startswith("_")}
    return JsonResponse(
        {"user": request.user.get_username(), "row": str(row.pk) if row else None, "cart": data.get("cart")}
    )


urlpatterns = [
    path("login/", LoginView.as_view()),
    path("logout/", LogoutView.as_view()),
    path("put/", put),
    path("seen/", seen),
]
if apps.is_installed("allauth.account"):
    urlpatterns.append(path("accounts/", include("allauth.urls")))
if apps.is_installed("sessions_ext"):
    from sessions_ext.step_up import fresh_login_required

    urlpatterns.append(path("fresh/", fresh_login_required(lambda request: JsonResponse({"fresh": True}))))
    urlpatterns.append(path("devices/", include("sessions_ext.urls")))
