from django.contrib import admin
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView

from .api import api
from .views import landing, metrics

RESET = {"template_name": "password_reset.html"}

urlpatterns = [
    path("", landing, name="landing"),
    path("private/", login_required(TemplateView.as_view(template_name="private.html")), name="private"),
    path("login/", auth.LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("password-reset/", auth.PasswordResetView.as_view(**RESET), name="password_reset"),
    path("password-reset/sent/", auth.PasswordResetDoneView.as_view(**RESET), name="password_reset_done"),
    path(
        "password-reset/<uidb64>/<token>/",
        auth.PasswordResetConfirmView.as_view(**RESET),
        name="password_reset_confirm",
    ),
    path(
        "password-reset/done/",
        auth.PasswordResetCompleteView.as_view(**RESET),
        name="password_reset_complete",
    ),
    path("devices/", include("sessions_ext.urls")),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("metrics", metrics, name="metrics"),
    # For the admin's pages, which name no icon of their own.
    path("favicon.ico", RedirectView.as_view(url=static("example_project/favicon.svg"))),
]
