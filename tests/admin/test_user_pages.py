"""Sessions on the page of their user, and the links between the two."""

import sys
from importlib import import_module
from types import ModuleType
from urllib.parse import unquote

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Permission
from django.urls import re_path, reverse

from sessions_ext.admin import UserSessionAdmin, UserSessionInline
from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory
from tests.admin.pages import LIST, page_of, staff, users_have_pages

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


@pytest.fixture
def with_inline():
    model = get_user_model()
    registered = django_admin.site._registry[model]
    before = registered.inlines
    registered.inlines = (*before, UserSessionInline)
    yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    registered.inlines = before


@users_have_pages
def test_a_users_page_shows_the_newest_sessions_and_leads_to_all(admin, user, with_inline):
    *_, newest = sessions = UserSessionFactory.create_batch(12, user=user)
    foreign = UserSessionFactory()
    page = admin.get(f"{with_inline}{user.pk}/change/").content.decode()
    assert page_of(newest) in page
    assert page_of(sessions[0]) not in page
    assert page_of(foreign) not in page
    assert f"{LIST}?user={user.pk}" in unquote(page)


@users_have_pages
def test_where_a_user_is_added_there_are_no_sessions(admin, with_inline):
    page = admin.get(f"{with_inline}add/").content.decode()
    assert 'name="username"' in page
    assert "newest sessions" not in page.lower()


@users_have_pages
def test_saving_a_user_leaves_the_sessions_alone(admin, user, with_inline):
    session = UserSessionFactory(user=user)
    url = f"{with_inline}{user.pk}/change/"
    form = admin.get(url).context["adminform"].form
    fields = {name: form.initial.get(name) or "" for name in form.fields}
    fields |= {
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00",
        "is_active": "on",
        "first_name": "Wystan",
    }
    prefix = "user_sessions"
    fields |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    response = admin.post(url, {name: value for name, value in fields.items() if value != ""})
    assert response.status_code == 302
    user.refresh_from_db()
    assert user.first_name == "Wystan"
    session.refresh_from_db()
    assert session.is_active


@users_have_pages
def test_who_may_not_view_sessions_sees_none_on_a_users_page(user, with_inline):
    session, client = UserSessionFactory(user=user), staff()
    viewer = get_user_model().objects.get(pk=client.session["_auth_user_id"])
    viewer.user_permissions.add(Permission.objects.get(codename=f"view_{user._meta.model_name}"))
    page = client.get(f"{with_inline}{user.pk}/change/")
    assert page.status_code == 200
    assert page_of(session) not in page.content.decode()


def may_delete_users(client):
    person, model = get_user_model().objects.get(pk=client.session["_auth_user_id"]), get_user_model()
    permissions = Permission.objects.filter(codename=f"delete_{model._meta.model_name}")
    person.user_permissions.add(permissions.get(content_type__app_label=model._meta.app_label))
    return client


def delete_page_of(user):
    return reverse(f"admin:{user._meta.app_label}_{user._meta.model_name}_delete", args=[user.pk])


@users_have_pages
def test_who_may_delete_users_and_sessions_deletes_a_user_who_has_sessions(user):
    session, client = UserSessionFactory(user=user), may_delete_users(staff("delete"))
    assert str(session) in client.get(delete_page_of(user)).content.decode()
    client.post(delete_page_of(user), {"post": "yes"})
    assert not get_user_model().objects.filter(pk=user.pk).exists()
    assert not UserSession.objects.filter(pk=session.pk).exists()


@users_have_pages
def test_who_may_delete_users_alone_is_told_that_sessions_need_a_permission_too(user):
    session, client = UserSessionFactory(user=user), may_delete_users(staff())
    page = client.get(delete_page_of(user))
    assert page.context["perms_lacking"] == {"user session"}
    assert "<li>user session</li>" in page.content.decode()
    assert client.post(delete_page_of(user), {"post": "yes"}).status_code == 403
    session.refresh_from_db()
    assert session.is_active


@users_have_pages
def test_who_may_delete_users_alone_deletes_one_without_sessions(user):
    may_delete_users(staff()).post(delete_page_of(user), {"post": "yes"})
    assert not get_user_model().objects.filter(pk=user.pk).exists()


@users_have_pages
def test_a_user_is_no_link_where_the_admin_has_no_users():
    site, session = django_admin.AdminSite(name="other"), UserSessionFactory()
    assert UserSessionAdmin(UserSession, site).of_user(session) == str(session.user)
    assert "href" in UserSessionAdmin(UserSession, django_admin.site).of_user(session)


@users_have_pages
def test_a_second_admin_leads_to_its_own_pages(admin, user, settings, monkeypatch):
    ops = django_admin.AdminSite(name="ops")
    ops.register(UserSession, UserSessionAdmin)
    ops.register(get_user_model(), type("Users", (UserAdmin,), {"inlines": [UserSessionInline]}))
    urls = ModuleType("urls_of_two_admins")
    urls.urlpatterns = [re_path("^ops/", ops.urls), *import_module("tests.urls").urlpatterns]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    settings.ROOT_URLCONF = urls.__name__
    session, _ = UserSessionFactory.create_batch(2, user=user)
    theirs = LIST.replace("admin", "ops")
    for page in (theirs, f"{theirs}{session.pk}/change/", f"{theirs}overview/", f"{theirs}end-all/"):
        assert 'href="/admin/' not in admin.get(page).content.decode()
    for page in (f"/ops/auth/user/{user.pk}/change/", f"{theirs}{session.pk}/change/"):
        assert f'href="{theirs}?user={user.pk}"' in admin.get(page).content.decode()
    data = {"action": "revoke_selected", "_selected_action": session.pk}
    assert 'href="/admin/' not in admin.post(theirs, data).content.decode()
