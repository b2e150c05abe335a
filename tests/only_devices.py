"""The URLs of a project with nothing but the app's pages."""

from django.urls import include, path

urlpatterns = [path("devices/", include("sessions_ext.urls"))]
