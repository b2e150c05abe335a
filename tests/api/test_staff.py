"""An administrator and the sessions of users."""

import json
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import UserManager
from django.test import Client, RequestFactory
from django.urls import URLResolver
from django.urls.resolvers import RegexPattern
from ninja import NinjaAPI

from sessions_ext.api import staff_router
from sessions_ext.api.staff import user_id_in_path
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.api.calls import App, ids, permit, problem, staff_path, unknown_ids

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


STAFF = {"list": ("GET", False), "revoke all": ("DELETE", False), "revoke one": ("DELETE", True)}


@pytest.mark.parametrize("what", STAFF)
def test_each_operation_on_a_user_needs_its_permission(target, what):
    method, is_one = STAFF[what]
    needed = "view" if method == "GET" else "revoke"
    session = UserSessionFactory(user=target)
    path = staff_path(target, session if is_one else None)
    for actions in ((), ({"view", "revoke"} - {needed}), ("add", "change", "delete")):
        answer = App(permit(UserFactory(is_staff=True), *actions)).call(method, path)
        assert problem(answer) == "403 permission_denied"
    session.refresh_from_db()
    assert session.is_active
    assert App(permit(UserFactory(), needed)).call(method, path).status_code in {200, 204}
    assert App(UserFactory(is_superuser=True)).call(method, path).status_code in {200, 204}


@pytest.mark.parametrize("what", STAFF)
def test_without_the_permission_no_user_is_known_from_an_unknown_one(target, what):
    method, is_one = STAFF[what]
    app = App(UserFactory())
    pk = UserSessionFactory(user=target).pk if is_one else None
    end = f"/{pk}" if is_one else ""
    answers = [app.call(method, f"/users/{user_id}/sessions{end}") for user_id in (target.pk, *unknown_ids())]
    assert {problem(answer) for answer in answers} == {"403 permission_denied"}
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1


@pytest.mark.parametrize("what", STAFF)
def test_an_unknown_user_has_no_sessions(target, what, transactional_db):
    method, is_one = STAFF[what]
    app = App(permit(UserFactory(), "view", "revoke"))
    end = f"/{UserSessionFactory(user=target).pk}" if is_one else ""
    for user_id in unknown_ids():
        assert problem(app.call(method, f"/users/{user_id}/sessions{end}")) == "404 not_found", user_id[:50]
    assert UserSession.objects.for_user(target).active().count() == int(is_one)


def test_a_user_whom_the_projects_manager_hides_is_unknown(target, monkeypatch):
    class WithoutHidden(UserManager):
        def get_queryset(self):
            return super().get_queryset().exclude(first_name="hidden")

    manager = WithoutHidden()
    manager.model = get_user_model()
    monkeypatch.setitem(vars(get_user_model()._meta), "default_manager", manager)
    app, session = App(permit(UserFactory(), "view", "revoke")), UserSessionFactory(user=target)
    assert ids(app.get(staff_path(target))) == [str(session.pk)]
    get_user_model()._base_manager.filter(pk=target.pk).update(first_name="hidden")
    for method, is_one in STAFF.values():
        answer = app.call(method, staff_path(target, session if is_one else None))
        assert problem(answer) == "404 not_found"
    session.refresh_from_db()
    assert session.is_active


def test_without_signing_in_no_user_is_known(target):
    for path in (staff_path(target), "/users/x/sessions"):
        assert problem(Client().get(f"/api{path}")) == "401 not_authenticated"
        assert problem(Client().delete(f"/api{path}")) == "401 not_authenticated"


def test_an_administrator_lists_a_users_sessions(target):
    app, browser = App(permit(UserFactory(), "view")), Client()
    log_in(browser, permit(UserFactory(), "view"))
    sessions = [UserSessionFactory(user=target), UserSessionFactory(user=target, revoked=True)]
    active, everything = app.get(staff_path(target)), app.get(staff_path(target) + "?state=all&limit=1")
    assert ids(active) == [str(sessions[0].pk)]
    assert active.json()["items"][0]["is_current"] is False
    assert (ids(everything), everything.json()["count"]) == ([str(sessions[1].pk)], 2)
    assert browser.get(f"/api{staff_path(target)}").json() == active.json()


def test_an_administrator_ends_one_session_of_a_user(target):
    who = permit(UserFactory(), "revoke")
    app, phone, tablet = App(who), App(target), App(target)
    assert app.delete(staff_path(target, phone.session)).status_code == 204
    assert phone.session.revoked_reason == f"admin: by {who.pk}"
    assert phone.session.ended_by == "admin"
    assert problem(phone.get("/sessions")) == "401 not_authenticated"
    assert tablet.get("/sessions").status_code == 200
    assert app.delete(staff_path(target, phone.session)).status_code == 204
    theirs = UserSessionFactory()
    answers = [app.delete(f"{staff_path(target)}/{pk}") for pk in (theirs.pk, uuid4())]
    assert {problem(answer) for answer in answers} == {"404 not_found"}
    assert answers[0].content == answers[1].content
    theirs.refresh_from_db()
    assert theirs.is_active
    assert problem(app.delete(f"{staff_path(target)}/x")) == "422 invalid_request"


def test_an_administrator_signs_a_user_out_everywhere(target):
    who = permit(UserFactory(), "revoke")
    app, phones = App(who), [App(target), App(target)]
    UserSessionFactory(user=target, expired=True)
    assert app.delete(staff_path(target)).json() == {"revoked": 2}
    assert app.delete(staff_path(target)).json() == {"revoked": 0}
    assert {phone.session.revoked_reason for phone in phones} == {f"admin: by {who.pk}"}
    assert {phone.get("/sessions").status_code for phone in phones} == {401}
    assert app.get("/sessions").status_code == 200


def test_a_permission_that_is_taken_away_is_gone_at_once(target):
    user = permit(UserFactory(), "view")
    app = App(user)
    assert app.get(staff_path(target)).status_code == 200
    permit(user)
    assert problem(app.get(staff_path(target))) == "403 permission_denied"


@pytest.mark.skipif(
    "get_user_model()._meta.pk.get_internal_type() == 'CharField'", reason="a text may have these slashes"
)
def test_a_path_of_the_projects_own_below_a_user_stays_its_own():
    """Whichever was mounted first."""
    api = NinjaAPI(urls_namespace="courses")
    api.add_router("", staff_router)

    @api.get("/users/{user_id}/courses/{course_id}/sessions")
    def lessons(request, user_id: str, course_id: str):
        return [user_id, course_id]

    patterns = URLResolver(RegexPattern("^/"), api.urls[0])
    match = patterns.resolve("/users/7/courses/8/sessions")
    assert match.kwargs == {"user_id": "7", "course_id": "8"}
    answer = match.func(RequestFactory().get("/"), **match.kwargs)
    assert json.loads(answer.content) == ["7", "8"]


@pytest.mark.skipif(
    "get_user_model()._meta.pk.get_internal_type() != 'CharField'", reason="only a text has a slash"
)
@pytest.mark.parametrize("key", ["team/ada", "team/sessions", "team/sessions/ada", "/", "ada\nbyron"])
def test_a_user_is_reached_whatever_the_key_is_like(key):
    target, other = UserFactory(id=key), UserSessionFactory(user=UserFactory(id="team"))
    sessions = [UserSessionFactory(user=target), UserSessionFactory(user=target)]
    app = App(permit(UserFactory(), "view", "revoke"))
    for path in (f"/users/{quote(key)}/sessions", f"/users/{quote(key, safe='')}/sessions"):
        assert ids(app.get(path)) == [str(session.pk) for session in reversed(sessions)]
        assert app.delete(f"{path}/{sessions.pop().pk}").status_code == 204
    sessions = [UserSessionFactory(user=target), UserSessionFactory(user=target)]
    assert app.delete(path).json() == {"revoked": 2}
    other.refresh_from_db()
    assert other.is_active


@pytest.mark.parametrize(
    ("label", "is_greedy"),
    [("users.UUIDUser", False), ("users.TextUser", True), ("users.Member", False), ("auth.User", False)],
)
def test_a_key_in_a_path_takes_slashes_only_where_it_may_hold_some(monkeypatch, label, is_greedy):
    monkeypatch.setattr("django.contrib.auth.get_user_model", lambda: apps.get_model(label))
    assert ("sessions_ext_any" in user_id_in_path()) == is_greedy
