"""The list: what it shows, filters and counts."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_ext.admin import UserSessionAdmin
from sessions_ext.admin import changelist as admin_list
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory
from tests.admin.pages import LIST, listed, page_of, users_have_pages
from tests.benchmarks import admin as admin_bench

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]


def test_the_list_shows_who_where_and_in_what_state(admin):
    UserSessionFactory(user__username="wystan", device_info="Lynx on BeOS", location="Porto, PT")
    UserSessionFactory(revoked=True, revoked_reason="limit", ip_address="198.51.100.7")
    UserSessionFactory(revoked=True, revoked_reason="The laptop was stolen")
    UserSessionFactory(expired=True)
    page = admin.get(LIST).content.decode()
    for text in ("wystan", "Lynx on BeOS", "Porto, PT", "198.51.100.7", "Active", "Expired"):
        assert f">{text}<" in page
    for text in ("Revoked", "Too many devices", "The laptop was stolen"):
        assert f">{text}<" in page


def test_the_list_is_filtered_by_state(admin):
    own = UserSession.objects.get()
    active, ended, expired = (UserSessionFactory(**trait) for trait in ({}, {"revoked": 1}, {"expired": 1}))
    assert listed(admin) == {own, active, ended, expired}
    assert listed(admin, state="active") == {own, active}
    assert listed(admin, state="revoked") == {ended}
    assert listed(admin, state="expired") == {expired}
    assert listed(admin, state="delete") == {own, active, ended, expired}


def test_the_list_is_filtered_by_reason(admin):
    limit, free = (UserSessionFactory(revoked=True, revoked_reason=reason) for reason in ("limit", "theft"))
    assert listed(admin, reason="limit") == {limit}
    assert listed(admin, reason="theft") == {free}
    assert listed(admin, reason="limit", state="active") == set()


def test_the_list_is_newest_first(admin):
    sessions = UserSessionFactory.create_batch(3)
    assert list(admin.get(LIST).context["cl"].result_list)[:3] == sessions[::-1]


def test_the_list_takes_as_many_queries_for_thirty_rows_as_for_one(admin):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(LIST, {"state": "active"}).status_code == 200
        return len(captured)

    UserSessionFactory()
    queries()  # the permissions and content types that Django keeps
    for_one = queries()
    UserSessionFactory.create_batch(30)
    assert len(listed(admin, state="active")) == 32
    assert queries() == for_one


def test_idle_is_a_state_of_its_own_where_there_is_an_idle_timeout(admin, settings):
    long_ago = timezone.now() - timedelta(hours=2)
    idle, expired = UserSessionFactory(last_activity_at=long_ago), UserSessionFactory(expired=True)
    assert "Idle" not in admin.get(LIST).content.decode()
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 3600}
    assert listed(admin, state="idle") == {idle}
    assert listed(admin, state="expired") == {expired}
    assert ">Idle<" in admin.get(page_of(idle)).content.decode()


def test_the_list_is_filtered_by_device_and_last_activity(admin):
    rare = UserSessionFactory(device_info="Lynx on BeOS")
    quiet = UserSessionFactory(last_activity_at=timezone.now() - timedelta(days=2))
    assert listed(admin, device="Lynx on BeOS") == {rare}
    assert listed(admin, device="Netscape") == set()
    assert rare in listed(admin, within="60")
    assert quiet not in listed(admin, within="60")
    assert quiet in listed(admin, within="10080")
    assert quiet in listed(admin, within="ever")


def made_at(*moment):
    created_at = datetime(*moment, 12, tzinfo=UTC)
    pk = UUID(int=int(created_at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)
    return UserSessionFactory(id=pk, created_at=created_at)


def dates(client, **parts):
    shown = (
        client.get(LIST, {f"created_at__{part}": value for part, value in parts.items()}).context["cl"].dates
    )
    back = shown.get("back")
    return back and back["title"], [str(choice["title"]) for choice in shown.get("choices", ())]


def test_the_dates_lead_from_years_to_a_day(admin):
    old, new, last = made_at(2019, 12, 3), made_at(2019, 12, 5), made_at(2020, 1, 2)
    assert dates(admin)[1][:2] == ["2019", "2020"]
    assert dates(admin, year=2019) == ("All dates", ["December 2019"])
    back, days = dates(admin, year=2019, month=12)
    assert (back, days[0], len(days)) == ("2019", "December 3", 29)
    assert dates(admin, year=2019, month=12, day=3) == ("December 2019", ["December 3"])
    assert listed(admin, created_at__year=2019) == {old, new}
    assert listed(admin, created_at__year=2019, created_at__month=12, created_at__day=5) == {new}
    assert listed(admin, created_at__year=2020, created_at__month=1) == {last}


def test_the_dates_begin_where_there_is_a_choice(admin):
    today = timezone.localtime(UserSession.objects.get().created_at)
    assert dates(admin) == (None, [f"{today:%B} {today.day}"])


def test_an_empty_list_has_no_dates(client, settings):
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if "sessions_ext" not in path]
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    UserSession.objects.all().delete()
    assert client.get(LIST).context["cl"].dates == {"show": False}


def test_a_row_that_was_brought_in_later_is_found_by_its_date(admin):
    session = UserSessionFactory(created_at=timezone.now() - timedelta(days=400))
    assert session in listed(admin, created_at__year=timezone.localtime(session.created_at).year)


@pytest.mark.parametrize("query", ["?device=Lynx", "?device=Lynx&all=", "?device=Mosaic"])
def test_what_fits_on_a_page_is_read_once_and_not_counted_before(admin, query):
    wanted = [UserSessionFactory(device_info="Lynx") for _ in range(3)][::-1] if "Lynx" in query else []
    with CaptureQueriesContext(connection) as captured:
        page = admin.get(LIST + query)
    assert list(page.context["cl"].result_list) == wanted
    assert page.context["cl"].result_count == len(wanted)
    passes = [query for query in captured if "device_info" in query["sql"].partition("WHERE")[2]]
    assert len(passes) == (2 if "all" in query else 1)


def test_a_short_list_is_shown_whole_where_that_is_asked_for(admin, monkeypatch):
    monkeypatch.setattr(UserSessionAdmin, "list_per_page", 2)
    UserSessionFactory.create_batch(4)
    assert len(admin.get(LIST).context["cl"].result_list) == 2
    assert len(admin.get(f"{LIST}?all=").context["cl"].result_list) == 5


def test_a_long_list_is_estimated_and_ends(admin, monkeypatch):
    monkeypatch.setattr(admin_list, "LISTED_AT_MOST", 4)
    monkeypatch.setattr(UserSessionAdmin, "list_per_page", 2)
    UserSessionFactory.create_batch(8)
    page = admin.get(LIST)
    is_estimate = connection.vendor != "sqlite"
    assert page.context["cl"].paginator.is_estimate == is_estimate
    assert ("This number is an estimate." in page.content.decode()) == is_estimate
    assert page.context["cl"].paginator.num_pages == 2
    assert page.context["cl"].result_count > 4
    assert len(admin.get(LIST, {"p": 2}).context["cl"].result_list) == 2
    assert admin.get(LIST, {"p": 3}).status_code == 302


@pytest.mark.once
@users_have_pages
@pytest.mark.skipif(connection.vendor != "postgresql", reason="the bound is of PostgreSQL")
@pytest.mark.django_db(transaction=True)  # or each later test's scan passes what was rolled back
@pytest.mark.parametrize("rows", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_the_list_of_many_rows_is_bounded(admin, settings, rows):
    """Fewer than 10 statements, and the time of some pages of Django's own list of 1000 users at the same
    moment, on a busy machine as on any; tests/benchmarks/admin.py measures it."""
    admin_bench.load(rows, 1000)
    rare = ("?reason=suspicious", "?device=Lynx", "?within=5", "?q=203.0.113.7", "?q=203.0.113.0/24")
    for query in ("", "?state=active", "?p=200", "?user=1", "?q=192.0.2.0/24&p=2", *rare):
        with CaptureQueriesContext(connection) as statements:
            admin.get(LIST + query)
        assert len(statements) < 10
        # What no index serves reads the table through, once.
        assert takes_at_most(20 if query in rare else 10, admin, LIST + query), query


def takes_at_most(pages, client, path):
    """The best of some visits, as many as it takes to see so."""
    times = []
    while len(times) < 6:
        times.append((seconds(client, path), seconds(client, "/admin/auth/user/")))
        ours, djangos = map(min, zip(*times, strict=True))
        if ours < pages * djangos:
            return True
    return False


def seconds(client, path):
    start = time.perf_counter()
    assert client.get(path).status_code == 200
    return time.perf_counter() - start


def test_the_page_of_a_session_that_is_gone_leads_away_and_says_so(admin):
    gone = UserSessionFactory()
    page = page_of(gone)
    gone.delete()
    answer = admin.get(page, follow=True)
    assert answer.redirect_chain
    assert "Perhaps it was deleted?" in answer.content.decode()
