"""What the ORM has no words for, on each database alike."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connections

from sessions_ext.db.estimates import count_or_estimate
from sessions_ext.db.expressions import IsWithin
from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(params=["default", "other"])
def rows(request):
    user = get_user_model()(username="wystan")
    user.save(using=request.param)
    for address in ("203.0.113.7", "203.0.113.200", "2001:db8::7", None):
        UserSession.objects.using(request.param).bulk_create(
            [UserSessionFactory.build(user=user, ip_address=address)]
        )
    return UserSession.objects.using(request.param)


@pytest.mark.parametrize(
    ("network", "found"),
    [
        ("203.0.113.0/24", 2),
        ("203.0.113.0/25", 1),
        ("203.0.113.7/32", 1),
        ("0.0.0.0/0", 2),
        ("2001:db8::/32", 1),
        ("::/0", 1),
        ("198.51.100.0/24", 0),
    ],
)
def test_an_address_is_found_by_its_network(rows, network, found):
    assert rows.filter(IsWithin("ip_address", network)).count() == found


def test_few_rows_are_counted_and_many_are_estimated_where_that_is_possible(rows):
    assert count_or_estimate(rows.all(), 4) == (4, False)
    number, is_estimate = count_or_estimate(rows.all(), 3)
    assert number >= 4
    assert is_estimate == (connections[rows.db].vendor != "sqlite")
