from django.urls import path

from . import views

app_name = "sessions_ext"
urlpatterns = [
    path("", views.SessionListView.as_view(), name="list"),
    path("sign-out-others/", views.RevokeOthersView.as_view(), name="revoke_others"),
    path("<uuid:pk>/sign-out/", views.RevokeView.as_view(), name="revoke"),
    path("<uuid:pk>/trust/", views.TrustView.as_view(), name="trust"),
    path("confirm/", views.ReauthenticateView.as_view(), name="reauthenticate"),
    path("make-room/<str:token>/", views.MakeRoomView.as_view(), name="make_room"),
    path("not-me/<str:token>/", views.NotMeView.as_view(), name="not_me"),
]
