from django.contrib.auth.views import LoginView
from django.http import HttpResponse, JsonResponse

from sessions_ext.api import CookieAuth


def verified(request):
    """What django-otp knows of who is signed in."""
    device = request.user.otp_device
    return JsonResponse(
        {
            "user": request.user.get_username() or None,
            "is_verified": request.user.is_verified(),
            "device": device.name if device else None,
        }
    )


def html(request):
    return HttpResponse(f"<html><body>{request.user.get_username()}</body></html>")


def let_in(request):
    """Whether an operation of the API would be let in by the cookie."""
    return JsonResponse({"is_let_in": CookieAuth()(request) is not None})


class PasswordLogin(LoginView):
    """Says what is wrong with the form instead of showing it."""

    def render_to_response(self, context, **kwargs):
        return JsonResponse(context["form"].errors)
