from django.http import HttpResponse, JsonResponse


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
