"""What is searched for in the list, garbage included."""

from uuid import UUID

import pytest

from sessions_ext.testing import UserSessionFactory
from tests.admin.pages import LIST, listed, revoked

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


@pytest.mark.parametrize(
    ("column", "value", "query"),
    [
        ("user__username", "wystan", "wystan"),
        ("user__email", "wystan@example.org", "WYSTAN@example"),
        ("ip_address", "198.51.100.7", "198.51.100.7"),
        ("ip_address", "198.51.100.7", "::ffff:198.51.100.7"),
        ("ip_address", "198.51.100.7", "198.51.100.0/24"),
        ("ip_address", "198.51.100.7", "198.51.100.7/30"),
        ("last_ip_address", "198.51.100.7", "198.51.96.0/19"),
        ("ip_address", "2001:db8:0:12::7", "2001:db8:0:10::/60"),
        ("ip_address", "2001:db8::7", "2001:db8::7"),
        ("last_ip_address", "198.51.100.8", "198.51.100.8"),
    ],
)
def test_the_list_is_searched(admin, column, value, query):
    wanted, _ = UserSessionFactory(**{column: value}), UserSessionFactory()
    assert listed(admin, q=query) == {wanted}


@pytest.mark.parametrize("form", [str, str.upper])
def test_the_list_is_searched_by_id(admin, form):
    wanted, _ = UserSessionFactory.create_batch(2)
    assert listed(admin, q=form(str(wanted.pk))) == {wanted}


@pytest.mark.parametrize("name", ["01980000-0000-7000-8000-000000000000", "198.51.100.7", "198.51.100.0/24"])
def test_a_user_who_is_called_like_an_id_or_an_address_is_found(admin, name):
    wanted, _ = UserSessionFactory(user__username=name), UserSessionFactory()
    other = {"ip_address": "198.51.100.7"} if "." in name else {"id": UUID(name)}
    also = UserSessionFactory(**other)
    assert listed(admin, q=name) == {wanted, also}


def test_a_search_for_a_name_finds_no_id_that_holds_it(admin):
    UserSessionFactory(id="ada00000-0000-7000-8000-000000000000")
    assert listed(admin, q="ada") == set()


@pytest.mark.parametrize(
    "query",
    [
        "nobody-at-all",
        "%",
        "'; --",
        "x" * 2000,
        "203.0.113.0/24",
        "203.0.113.0/99",
        "::/129",
        "10/8",
        "198.51",
    ],
)
def test_a_search_for_nothing_finds_nothing(admin, query):
    response = admin.get(LIST, {"q": query})
    assert response.status_code == 200
    assert not response.context["cl"].result_list


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "user=%00",
        "user=x",
        "user=99999999999999999999999",
        "p=99999",
        "p=x",
        "all=",
        "o=9.x.-1",
        "state=x&reason=%ff&device=%00&within=%F0%9F%92%BB",
        "is_trusted__exact=maybe",
        "created_at__year=x",
        "created_at__year=0",
        "created_at__year=1",
        "created_at__year=2",
        "created_at__year=\N{FULLWIDTH DIGIT NINE}",
        "created_at__year=1969",
        "created_at__year=1970",
        "created_at__year=9998",
        "created_at__year=9999",
        "created_at__year=2026&created_at__month=13",
        "created_at__month=5&created_at__day=x",
        "created_at__gte=x",
        "created_at__gte=",
        "id=x",
        "nonsense=1",
        "user__password__startswith=a",
        "q=" + "1" * 5000,
    ],
)
def test_garbage_in_the_address_is_no_error(admin, query):
    assert admin.get(f"{LIST}?{query}", follow=True).status_code in (200, 400)


def test_garbage_for_ids_is_no_error(admin):
    for pk in ("x", "\0", ""):
        response = admin.post(LIST, {"action": "revoke_selected", "_selected_action": pk}, follow=True)
        assert response.status_code == 200
    assert not revoked()


@pytest.mark.parametrize("term", ["fe80::%eth0/64", "fe80::1%eth0", "%/64", "203.0.113.0/33"])
def test_a_search_for_an_odd_address_finds_nobody(admin, term):
    UserSessionFactory()
    assert admin.get(LIST, {"q": term}).status_code == 200
