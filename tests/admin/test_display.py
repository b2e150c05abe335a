"""What the page of a session shows, and shows to nobody."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from django.urls import reverse
from django.utils import timezone

from sessions_ext.models import UserSession
from sessions_ext.testing import UserSessionFactory, log_in
from tests.admin.pages import LIST, SCRIPT, listed, page_of, revoke

pytestmark = pytest.mark.django_db


def test_no_page_shows_a_secret(admin, client, user):
    session = log_in(client, user)
    UserSession.objects.filter(pk=session.pk).link_refresh_token(UserSessionFactory.build().pk)
    UserSession.objects.filter(pk=session.pk).link_refresh_token(UserSessionFactory.build().pk)
    session.refresh_from_db()
    secrets = [client.session.session_key, admin.session.session_key]
    secrets += map(str, (session.refresh_token_id, session.previous_refresh_token_id))
    history = reverse("admin:sessions_ext_usersession_history", args=[session.pk])
    for path in (LIST, page_of(session), history, history.replace("history", "delete")):
        response = admin.get(path)
        assert response.status_code == 200
        assert not [secret for secret in secrets if secret in response.content.decode()]


def test_what_a_client_says_of_itself_is_shown_as_text(admin):
    session = UserSessionFactory(user_agent=SCRIPT, device_info=SCRIPT, location=SCRIPT)
    UserSessionFactory(revoked=True, revoked_reason=SCRIPT)
    for path in (LIST, page_of(session)):
        page = admin.get(path).content.decode()
        assert SCRIPT not in page
        assert "&lt;script&gt;alert(" in page


def test_the_rows_page_tells_what_happened_in_order(admin):
    now = timezone.now()
    session = UserSessionFactory(
        created_at=now - timedelta(hours=5),
        last_activity_at=now - timedelta(hours=3),
        refreshed_at=now - timedelta(hours=4),
        last_provider_sync_at=now - timedelta(hours=2),
        last_provider_accessed="github",
        providers_accessed=["github", "slack"],
        suspicious_activity_count=3,
        is_trusted=True,
    )
    page = admin.get(page_of(session)).content.decode()
    line = page[page.index('<ol class="session-timeline">') :]
    line = line[: line.index("</ol>")]
    words = ["Signed in", "Tokens refreshed", "Last seen", "github", "Expires", "Trusted", "Flagged"]
    assert sorted(words, key=line.index) == words
    assert "5\xa0hours ago" in line
    assert "github, slack" in page
    revoke(admin, session)
    line = admin.get(page_of(session)).content.decode()
    assert "By an administrator" in line
    assert ">Expires<" not in line
    assert ">Expired<" in admin.get(page_of(UserSessionFactory(expired=True))).content.decode()


def test_where_nothing_is_known_there_is_one_dash(admin):
    unknown = {"ip_address": None, "last_ip_address": None, "location": "", "user_agent": ""}
    page = admin.get(page_of(UserSessionFactory(**unknown))).content.decode()
    shown = dict(re.findall(r'field-(\w+)">.*?"readonly">(.*?)</div>', page, re.DOTALL))
    for field in (*unknown, "providers", "trusted", "flagged"):
        assert shown[field] == "\N{EN DASH}"


def test_a_session_is_named_by_the_local_time_of_its_sign_in(admin, settings):
    session = UserSessionFactory(created_at=datetime(2026, 3, 1, 22, 30, tzinfo=UTC))
    settings.TIME_ZONE = "Asia/Tokyo"
    page = admin.get(page_of(session)).content.decode()
    assert f"{session.device_info}, 2026-03-02 07:30<" in page
    assert "2026-03-02 07:30:00 JST" in page


def test_the_rows_page_lists_the_users_other_active_sessions(admin, user):
    session, other = UserSessionFactory.create_batch(2, user=user)
    gone, foreign = UserSessionFactory(user=user, revoked=True), UserSessionFactory()
    page = admin.get(page_of(session)).content.decode()
    assert page_of(other) in page
    assert page_of(gone) not in page
    assert page_of(foreign) not in page
    assert f"{LIST}?user={user.pk}" in unquote(page)
    assert listed(admin, user=user.pk) == {session, other, gone}
