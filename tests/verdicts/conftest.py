import pytest


@pytest.fixture(autouse=True)
def _cached(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.SESSIONS_EXT = {"CACHE": "default", "REFRESH_GRACE": 0}


@pytest.fixture
def recalled(django_assert_num_queries):
    """Call something a second time, when it must not ask the database."""

    def check(ask):
        first = ask()
        with django_assert_num_queries(0):
            again = ask()
        assert first
        assert again == first
        return again

    return check
