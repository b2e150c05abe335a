from django.contrib import admin
from django.urls import include, path
from django_otp.forms import OTPAuthenticationForm

from tests.company import views
from tests.store.in_company.site import PAGES

urlpatterns = [
    *(path(at, view) for at, (view, _) in PAGES.items()),
    path("async/", include([path(at, view) for at, (_, view) in PAGES.items()])),
    path("verified/", views.verified),
    path("html/", views.html),
    path("let-in/", views.let_in),
    path("password-login/", views.PasswordLogin.as_view()),
    path("otp-login/", views.PasswordLogin.as_view(authentication_form=OTPAuthenticationForm)),
    path("accounts/", include("allauth.urls")),
    path("_allauth/", include("allauth.headless.urls")),
    path("oidc/", include("mozilla_django_oidc.urls")),
    path("hijack/", include("hijack.urls")),
    path("impersonate/", include("impersonate.urls")),
    path("loginas/", include("loginas.urls")),
    path("devices/", include("sessions_ext.urls")),
    path("admin/", admin.site.urls),
]
