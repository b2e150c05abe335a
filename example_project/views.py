from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import render
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import sessions_ext.metrics  # noqa: F401  (which is all that it needs)
from sessions_ext.models import UserSession

from .people import PEOPLE


def landing(request: HttpRequest) -> HttpResponse:
    domain, port = split_domain_port(request.get_host())
    # Cookies belong to a host name: the same server under its other name is another browser.
    other_name = "127.0.0.1" if domain == "localhost" else "localhost"
    return render(
        request,
        "landing.html",
        {
            "people": PEOPLE,
            "other_host": f"{other_name}:{port}" if port else other_name,
            "sessions": UserSession.objects.for_user(request.user).active().newest_first(),
        },
    )


def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
