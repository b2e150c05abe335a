"""Why somebody was signed out: told to the browser or the app that had the session, and to nobody else."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.contrib.auth.hashers import make_password
from django.contrib.messages import get_messages
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpResponse, JsonResponse
from django.test import Client
from django.urls import include, path

from sessions_ext.endings import REASONS, SessionEnded
from sessions_ext.engines.db import SessionStore as Verified
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.store import ID_KEY
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.api.calls import App, problem, refresh

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

NOTHING = {"ended": None, "text": "", "messages": []}


def shown(request):
    """What a page knows of it, when it shows the messages."""
    assert request.user.is_authenticated in (True, False)
    return answer(request)


async def ashown(request):
    await request.auser()
    return answer(request)


def answer(request):
    ended = request.session_ended
    return JsonResponse(
        {
            "ended": ended.reason if ended else None,
            "text": str(ended or ""),
            "messages": [str(message) for message in get_messages(request)]
            if hasattr(request, "_messages")
            else [],
        }
    )


def late(request):
    """The session ends before this request has read it."""
    UserSession.objects.all().revoke(request.GET["reason"])
    return shown(request)


def peek(request):
    assert Verified(request.GET["key"]).get("anything") is None
    return shown(request)


@login_required
def private(request):
    return HttpResponse("private")


urlpatterns = [
    path("shown/", shown),
    path("ashown/", ashown),
    path("late/", late),
    path("peek/", peek),
    path("private/", private),
    path("", include("tests.urls")),
]


@pytest.fixture
def app(user):
    return App(user)


@pytest.fixture(params=["sync", "async"])
def see(request, client, aget):
    """What the browser of `client` sees on its next page, in one of both worlds."""
    return lambda: (client.get("/shown/") if request.param == "sync" else aget("/ashown/")).json()


@pytest.fixture
def browser(client, user):
    """A browser that has visited a page since it signed in."""
    log_in(client, user)
    assert client.get("/shown/").json() == NOTHING
    return client


def told(reason):
    text = str(REASONS[reason])
    return {"ended": reason, "text": text, "messages": [text]}


def end(user, reason):
    assert UserSession.objects.for_user(user).revoke(reason) == 1


# Once


def test_the_next_page_says_why_and_none_after_it(engine, browser, see, user):
    end(user, RevokedReason.LIMIT)
    assert see() == told("limit")
    assert see() == NOTHING


@pytest.mark.parametrize("reason", ["user", "admin", "limit", "password_change", "user_disabled"])
def test_each_of_these_reasons_is_told(browser, see, user, reason):
    end(user, reason)
    assert see() == told(reason)


@pytest.mark.parametrize(
    "reason", ["not_me", "suspicious", "refresh_reuse", "stolen laptop", "other: x", "idle: x"]
)
def test_what_was_noticed_and_what_was_written_for_others_is_not(browser, see, user, reason):
    """The browser may be a thief's: all these read the same."""
    end(user, reason)
    assert see() == told("other")


def test_a_note_of_staff_is_not_told(browser, see, user):
    end(user, "admin: stolen laptop, call the police")
    assert see() == told("admin")


def test_who_signed_out_is_told_nothing(browser, see, user):
    """A copy of the cookie, in another tab, say."""
    end(user, RevokedReason.LOGOUT)
    assert see() == NOTHING


def test_who_signed_out_here_is_told_nothing(browser, see):
    browser.post("/logout/")
    assert see() == NOTHING


def test_a_session_that_idled_out_says_so(browser, see, user, settings, later):
    settings.SESSIONS_EXT = {"IDLE_TIMEOUT": 3600}
    later(3700)
    assert see() == told("idle")
    assert see() == NOTHING


def test_a_session_that_expired_says_so(browser, see, user, later):
    UserSession.objects.for_user(user).update(
        expires_at=UserSession.objects.get().created_at + timedelta(hours=1)
    )
    later(3700)
    assert see() == told("expired")


@pytest.mark.parametrize("is_saved", [True, False])
def test_a_new_password_says_so_however_it_was_set(browser, see, user, is_saved):
    user.set_password("another")
    if is_saved:
        user.save()
    else:
        get_user_model().objects.filter(pk=user.pk).update(password=user.password)
    assert see() == told("password_change")


@pytest.mark.parametrize("is_saved", [True, False])
def test_a_disabled_account_says_so_however_it_was_disabled(browser, see, user, is_saved):
    user.is_active = False
    if is_saved:
        user.save()
    else:
        get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    assert see() == told("user_disabled")


def test_whoever_acts_as_the_user_is_told_that_this_is_over(browser, see, user):
    UserSession.objects.for_user(user).update(impersonator=UserFactory())
    end(user, "user")
    assert see() == told("impersonator")


def test_a_deleted_row_says_nothing(browser, see, user):
    UserSession.objects.for_user(user).delete()
    assert see() == NOTHING


def test_it_waits_for_the_first_page_that_shows_messages(browser, user):
    end(user, "limit")
    assert browser.get("/private/").url == "/login/?next=/private/"
    assert browser.get("/shown/").json() == {**NOTHING, "messages": [str(REASONS["limit"])]}
    assert browser.get("/shown/").json() == NOTHING


def test_a_message_may_be_kept_in_a_session(browser, see, user, settings):
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
    end(user, "limit")
    browser.get("/private/")
    assert see()["messages"] == [str(REASONS["limit"])]
    assert see() == NOTHING


@pytest.fixture
def _no_messages(settings):
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "messages" not in each]


@pytest.mark.usefixtures("_no_messages")
def test_without_messages_the_page_itself_can_say_so(browser, see, user):
    end(user, "limit")
    assert see() == {**told("limit"), "messages": []}


@pytest.mark.parametrize("engine_name", ["db", "signed_cookies"])
def test_a_request_that_was_on_its_way_is_told_nothing(client, user, settings, engine_name):
    """Its answer leaves the cookie alone. A signed one comes once more, and is told then."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine_name}"
    log_in(client, user)
    assert client.get("/late/?reason=limit").json() == NOTHING
    assert client.get("/shown/").json() == (told("limit") if engine_name == "signed_cookies" else NOTHING)
    assert client.get("/shown/").json() == NOTHING


def test_a_site_may_tell_nothing(browser, see, user, settings):
    settings.SESSIONS_EXT = {"TELL_WHY": False}
    end(user, "limit")
    assert see() == NOTHING


@pytest.mark.django_db(transaction=True)  # in a transaction nothing is filled
def test_a_session_that_was_recalled_says_so_too(client, user, settings):
    settings.SESSIONS_EXT = {"CACHE": "default"}
    log_in(client, user)
    client.get("/shown/")
    end(user, "limit")
    assert client.get("/shown/").json() == told("limit")


@pytest.fixture
def _languages(settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]


@pytest.mark.usefixtures("_languages")
def test_it_reads_in_the_language_of_the_browser(browser, user):
    end(user, "limit")
    seen = browser.get("/shown/", headers={"accept-language": "de"}).json()
    assert seen["text"].startswith("Sie wurden hier abgemeldet")
    assert seen["messages"] == [seen["text"]]


@pytest.mark.parametrize(
    ("engine_name", "queries"),
    # The row, and the row that has ended. Django reads, finds and deletes the data in its table.
    [("db", 5), ("signed_cookies", 2)],
)
def test_it_costs_no_query_that_an_ended_login_did_not_cost(
    client, user, settings, engine_name, queries, django_assert_num_queries
):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine_name}"
    log_in(client, user)
    client.get("/shown/")
    end(user, "limit")
    with django_assert_num_queries(queries):
        client.get("/who/")


# To nobody else


def test_an_unknown_browser_is_told_nothing(see, client, user):
    UserSessionFactory(user=user, revoked=True)
    assert see() == NOTHING
    client.cookies["sessionid"] = "0123456789abcdef0123456789abcdef"
    assert see() == NOTHING


def with_data(client, change):
    """Change what the session store holds, as only code of the site could."""
    store = SessionStore(client.cookies["sessionid"].value)
    data = store.load()
    change(data)
    store._session_cache = data
    store.save()


def test_a_planted_id_tells_nothing_to_a_guest(client, see, user):
    ended = UserSessionFactory(user=user, revoked=True)
    client.get("/put/?key=cart&value=book")
    with_data(client, lambda data: data.update({ID_KEY: str(ended.pk)}))
    assert see() == NOTHING


@pytest.mark.parametrize("planted", ["somebody else's", "nonsense", 7])
def test_a_foreign_id_tells_nothing_to_a_user(browser, see, planted):
    theirs = UserSessionFactory(revoked=True)
    row = str(theirs.pk) if planted == "somebody else's" else planted
    with_data(browser, lambda data: data.update({ID_KEY: row}))
    assert see() == NOTHING


def test_a_login_with_another_auth_hash_is_told_nothing(browser, see, user):
    """It is older than a change of the password."""
    end(user, "limit")
    user.set_password("another")
    user.save()
    assert see() == NOTHING


def test_a_login_with_another_auth_hash_is_told_nothing_by_the_request_that_ends_it(browser, see, user):
    changed = {"password": make_password("another"), "is_active": False}
    get_user_model().objects.filter(pk=user.pk).update(**changed)
    assert see() == NOTHING


def test_a_page_that_reads_another_session_is_told_nothing_of_it(browser, user):
    """As a page for staff that looks into stored sessions."""
    log_in(other := Client(), UserFactory())
    end(user, "limit")
    assert other.get(f"/peek/?key={browser.cookies['sessionid'].value}").json() == NOTHING
    assert other.get("/shown/").json() == NOTHING


# The API


def ended_of(response):
    body = json.loads(response.content)
    problem(response)
    return body.get("session_ended")


def member(reason):
    return {"reason": reason, "detail": str(REASONS[reason])}


@pytest.mark.parametrize(
    ("reason", "shown"), [("limit", "limit"), ("admin: x", "admin"), ("not_me", "other")]
)
def test_a_token_is_told_why_its_session_has_ended(user, app, reason, shown):
    end(user, reason)
    for asked in ("/sessions", "/sessions/current"):
        assert ended_of(app.get(asked)) == member(shown)
    assert ended_of(refresh(app.tokens["refresh_token"])) == member(shown)


def test_a_token_whose_password_was_changed_is_told_so(user, app):
    user.set_password("another")
    user.save()
    assert ended_of(app.get("/sessions")) == member("password_change")


def test_a_token_that_was_signed_out_is_told_nothing(app):
    assert app.delete("/sessions/current").status_code == 204
    assert ended_of(app.get("/sessions")) is None
    assert ended_of(refresh(app.tokens["refresh_token"])) is None


def test_a_replayed_refresh_token_is_told_nothing_of_it(user, app, settings):
    settings.SESSIONS_EXT = {"REFRESH_GRACE": 0}
    token = app.tokens["refresh_token"]
    assert refresh(token).status_code == 200
    assert ended_of(refresh(token)) is None
    assert ended_of(refresh(token)) == member("other")


def test_a_token_with_another_auth_hash_is_told_nothing(user, app):
    end(user, "limit")
    user.set_password("another")
    user.save()
    assert ended_of(app.get("/sessions")) is None


def test_a_token_that_is_not_ours_is_told_nothing(user, app, settings, django_assert_num_queries):
    end(user, "limit")
    head, body, signature = app.tokens["access_token"].split(".")
    forged = f"{head}.{body}.{signature[::-1]}"
    for token in (forged, "x", app.tokens["refresh_token"]):
        with django_assert_num_queries(0):
            answer = app.get("/sessions", headers={"Authorization": f"Bearer {token}"})
        assert ended_of(answer) is None


def test_a_token_whose_session_has_ended_costs_one_query_more(user, app, django_assert_num_queries):
    end(user, "limit")
    with django_assert_num_queries(2):
        app.get("/sessions")


def test_a_cookie_is_told_by_the_api_once(browser, user):
    end(user, "limit")
    answer = browser.get("/api/sessions")
    assert (answer.status_code, answer.json()["session_ended"]) == (401, member("limit"))
    assert ended_of(browser.get("/api/sessions")) is None


def test_whoever_brings_nothing_is_told_nothing(client, user):
    UserSessionFactory(user=user, revoked=True)
    assert ended_of(client.get("/api/sessions")) is None


# Words


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_sentence_of_its_own(reason):
    text = str(SessionEnded(reason))
    assert text.endswith(".")
    assert [str(other) for other in REASONS.values()].count(text) == 1
