from functools import cache

import pytest
from django.db import connection

from sessions_ext.testing import UserFactory
from tests import databases
from tests.company.coming_from.browsers import Browser, SiteAfter, SiteBefore

PACKAGES = {
    "user_sessions": ("user_sessions", "user_sessions.backends.db"),
    "qsessions": ("qsessions", "qsessions.backends.db"),
    "qsessions, cached": ("qsessions", "qsessions.backends.cached_db"),
    "allauth": ("allauth.usersessions", "django.contrib.sessions.backends.db"),
}


@pytest.fixture(scope="session")
def sites_before(request, django_db_setup):
    sites = []

    @cache
    def site(name: str) -> SiteBefore:
        sites.append(SiteBefore(*PACKAGES[name], databases.url_of(connection), request.config.rootpath))
        return sites[-1]

    yield site
    for each in sites:
        each.close()


@pytest.fixture(params=PACKAGES)
def package(request) -> str:
    return request.param


@pytest.fixture
def source(package) -> str:
    return PACKAGES[package][0]


@pytest.fixture
def before(transactional_db, sites_before, package) -> SiteBefore:
    return sites_before(package)


@pytest.fixture
def after() -> SiteAfter:
    return SiteAfter()


@pytest.fixture
def sign_in(before):
    """Logs a user in on the site before, and returns both the user and the browser."""

    def sign_in(user=None, **fields):
        user, browser = user or UserFactory(), Browser(**fields)
        browser.log_in(before, user)
        return user, browser

    return sign_in
