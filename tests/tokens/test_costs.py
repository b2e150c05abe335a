"""What each call with a token costs."""

import pytest

from sessions_ext import tokens
from tests.costs import COUNTED, ONE_ROW

pytestmark = pytest.mark.django_db


def test_a_verify_costs_one_query(pair, django_assert_num_queries):
    with django_assert_num_queries(1):
        session = tokens.verify(pair.access_token)
        assert session.user.get_username()
        assert session.is_active


def test_a_refresh_costs_a_select_and_an_update(pair, later, django_assert_num_queries):
    with django_assert_num_queries(2):
        pair = tokens.refresh(pair.refresh_token)
    later(60)
    with django_assert_num_queries(3):  # and a touch, once per TOUCH_INTERVAL
        tokens.refresh(pair.refresh_token)


def test_a_double_submit_costs_no_more_and_a_replay_is_flagged_too(pair, settings, django_assert_num_queries):
    tokens.refresh(pair.refresh_token)
    with django_assert_num_queries(1):
        assert tokens.refresh(pair.refresh_token)
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    with django_assert_num_queries(1 + ONE_ROW + COUNTED + 2):  # the tests are in a transaction: a savepoint
        assert tokens.refresh(pair.refresh_token) is None


@pytest.mark.parametrize("token", ["", "x", "a.b.c", None, 1, b"a.b.c", ["a.b.c"], {}])
def test_what_is_no_token_costs_nothing(token, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert tokens.verify(token) is None
        assert tokens.refresh(token) is None
