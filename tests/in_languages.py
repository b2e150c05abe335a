"""The URLs of a project with a language in each path. LocaleMiddleware leads there from the bare one."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path

from tests.urls import sign_in

urlpatterns = i18n_patterns(
    path("login/", sign_in, name="login"), path("devices/", include("sessions_ext.urls"))
)
