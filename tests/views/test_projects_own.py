"""What a project may change about the list, and where it may put it."""

from uuid import UUID

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import reverse
from django.utils import translation
from django.views.generic import View

from sessions_ext.models import UserSession
from sessions_ext.templatetags.sessions_ext import why_ended
from sessions_ext.testing import log_in
from sessions_ext.views import SessionsMixin
from tests.views.pages import LIST, OTHERS, sign_out, text

pytestmark = pytest.mark.django_db


def test_the_list_stands_in_a_page_of_the_projects_own(client, here, there):
    page = client.get("/embedded/")
    assert "Safari on iPhone" in text(page)
    assert page.content.decode().count('name="next" value="/embedded/"') == 5
    assert "csrfmiddlewaretoken" in page.content.decode()
    response = client.post(sign_out(there), {"next": "/embedded/"})
    assert response.url == "/embedded/"


def test_the_list_of_nobody_is_empty(client, there):
    assert "Safari" not in text(client.get("/embedded/"))


def test_a_view_of_the_projects_own_has_the_sessions(user, there):
    class Devices(SessionsMixin, View):
        def get(self, request):
            return HttpResponse(", ".join(session.device_info for session in self.active_sessions))

    request = RequestFactory().get("/")
    request.user = user
    assert Devices.as_view()(request).content == b"Safari on iPhone"


def test_the_page_follows_the_language(client, here):
    with translation.override("de"):
        assert 'lang="de"' in client.get(LIST).content.decode()


def test_the_names_of_the_urls():
    pk = UUID(int=1)
    assert reverse("sessions_ext:list") == LIST
    assert reverse("sessions_ext:revoke_others") == OTHERS
    assert reverse("sessions_ext:revoke", args=[pk]) == f"{LIST}{pk}/sign-out/"
    assert reverse("sessions_ext:trust", args=[pk]) == f"{LIST}{pk}/trust/"
    assert reverse("sessions_ext:not_me", args=["a:b"]) == f"{LIST}not-me/a:b/"


def test_a_note_stands_behind_words_for_the_person():
    session = UserSession(is_revoked=True, revoked_reason="admin: stolen laptop")
    assert why_ended(session) == "Ended by an administrator: stolen laptop"
    session.revoked_reason = "moved: to another office"
    assert why_ended(session) == "moved: to another office"


def test_a_visit_that_names_itself_as_next_ends_at_the_list(client, user):
    log_in(client, user)
    path = reverse("sessions_ext:revoke_others")
    assert client.get(path, {"next": path}).url == reverse("sessions_ext:list")
