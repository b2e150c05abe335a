from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView

from .api import api
from .views import landing

urlpatterns = [
    path("", landing, name="landing"),
    path("private/", login_required(TemplateView.as_view(template_name="private.html")), name="private"),
    path("login/", LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("devices/", include("sessions_ext.urls")),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    # For the admin's pages, which name no icon of their own.
    path("favicon.ico", RedirectView.as_view(url=static("example_project/favicon.svg"))),
]
