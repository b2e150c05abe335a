"""The pages of the admin, who visits them, and what they are asked to do."""

import os

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, log_in

LIST = "/admin/sessions_ext/usersession/"
SCRIPT = "<script>alert('agent')</script>"


def staff(*permissions):
    client, user = Client(), UserFactory(is_staff=True)
    codenames = [f"{permission}_usersession" for permission in permissions]
    found = Permission.objects.filter(content_type__app_label="sessions_ext", codename__in=codenames)
    assert len(found) == len(codenames)
    user.user_permissions.set(found)
    log_in(client, user)
    return client


def page_of(session):
    return reverse("admin:sessions_ext_usersession_change", args=[session.pk])


def listed(client, **params):
    return set(client.get(LIST, params).context["cl"].result_list)


def ask(client, action, *sessions, query="", **data):
    """Run an action of the list, as far as the page that asks for confirmation."""
    data |= {"action": action, "_selected_action": [str(session.pk) for session in sessions]}
    return client.post(LIST + query, data, follow=True)


def act(client, action, *sessions, **data):
    return ask(client, action, *sessions, confirmed="yes", **data)


def revoke(client, *sessions, **data):
    return act(client, "revoke_selected", *sessions, **data)


def logged():
    return list(LogEntry.objects.order_by("pk").values_list("object_id", "change_message"))


def says(response):
    return [str(message) for message in response.context["messages"]]


def revoked():
    return set(UserSession.objects.revoked())


END_ALL = f"{LIST}end-all/"

# Only Django's own user has a page in the admin of the tests.
users_have_pages = pytest.mark.skipif("USER_MODEL" in os.environ, reason="these users have no page")
