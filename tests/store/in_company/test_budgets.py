"""A verified engine costs no query more than Django alone with the engine that it stands before."""

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests.conftest import ENGINES
from tests.store.in_company.conftest import Browser, Engine

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.urls("tests.urls")]

ALONE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def cost(is_async, cookies, name):
    """How many queries a page costs in a browser with these cookies, and what it says."""
    browser = Browser(is_async)
    browser.client.cookies = cookies
    with CaptureQueriesContext(connection) as queries:
        response = browser.visit("get", f"/a{name}/" if is_async else f"/{name}/")
    assert response.status_code == 200
    return len(queries), response.content.decode()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", ENGINES)
def test_a_request_costs_no_query_more(user, settings, name, is_async):
    settings.SESSION_ENGINE = Engine(name, False).path
    browser = Browser(is_async)
    session = browser.log_in(user)
    with override_settings(MIDDLEWARE=ALONE):
        alone, who = cost(is_async, browser.client.cookies, "who")
    settings.SESSION_ENGINE = Engine(name, True).path
    for page, says in (("who", user.get_username()), ("row", str(session.pk))):
        queries, said = cost(is_async, browser.client.cookies, page)
        assert said == says
        assert queries <= alone
    assert who == user.get_username()
