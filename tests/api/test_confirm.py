"""Fresh logins at the API: what asks for one, and how a client confirms."""

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import include, path
from ninja import NinjaAPI

from sessions_ext import tokens
from sessions_ext.api import BearerAuth, CookieAuth, router
from sessions_ext.models import UserSession
from sessions_ext.step_up import fresh_login_required
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.api.calls import CSRF, JSON, App, problem, refresh
from tests.views.test_password import OlderHasher

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

QUARTER = 15 * 60
CONFIRM = "/sessions/current/confirm"

own = NinjaAPI(urls_namespace="own")
FRESH = [BearerAuth(max_age=60), CookieAuth(max_age=60)]
own.add_router("/strict", router, auth=FRESH)


@own.get("/fresh", auth=FRESH)
def fresh(request):
    return {"user": request.user.get_username()}


@own.get("/afresh", auth=FRESH)
async def afresh(request):
    user = await request.auser()
    return {"user": user.get_username()}


@own.get("/decorated", auth=[BearerAuth(), CookieAuth()])
@fresh_login_required
def decorated(request):
    return {"user": request.user.get_username()}


urlpatterns = [path("own/", own.urls), path("", include("tests.urls"))]
OPERATIONS = ["/own/fresh", "/own/afresh"]


@pytest.fixture
def old(later, user):
    """An app that signed in a while ago, and has refreshed its tokens since."""
    app = App(user)
    later(QUARTER)
    carry(app, refresh(app.tokens["refresh_token"]))
    later(60)
    return app


def confirm(app, password="password"):
    return app.call("POST", CONFIRM, {"password": password})


def carry(app, answer):
    assert answer.status_code == 200, answer.content
    app.tokens = answer.json()
    app.headers = {"Authorization": f"Bearer {app.tokens['access_token']}"}


def ask(app, path="/own/fresh"):
    return app.client.get(path, headers=app.headers)


def is_insufficient(answer, age):
    challenge = f'Bearer error="insufficient_user_authentication", max_age="{age}"'
    return (answer.status_code, answer["WWW-Authenticate"]) == (401, challenge)


# What asks


@pytest.mark.parametrize("path", ["/sessions", "/sessions/{id}"])
def test_ending_other_sessions_needs_a_fresh_login(old, user, path):
    other = UserSessionFactory(user=user)
    answer = old.delete(path.format(id=other.pk))
    assert problem(answer) == "401 insufficient_user_authentication"
    assert answer.json()["max_age"] == 900
    assert is_insufficient(answer, 900)
    other.refresh_from_db()
    assert other.is_active
    carry(old, confirm(old))
    assert old.delete(path.format(id=other.pk)).status_code in (200, 204)
    other.refresh_from_db()
    assert other.revoked_reason == "user"


def test_signing_out_here_and_all_that_ends_nothing_needs_none(old):
    assert old.get("/sessions").status_code == 200
    assert old.call("PATCH", f"/sessions/{old.id}", {"is_trusted": True}).status_code == 200
    assert old.delete(f"/sessions/{old.id}").status_code == 204


def test_a_setting_turns_it_off(old, settings):
    settings.SESSIONS_EXT = {"API_REAUTHENTICATES": False}
    assert old.delete("/sessions").status_code == 200
    settings.SESSIONS_EXT = {"REAUTHENTICATE_AFTER": None}
    assert old.delete("/sessions").status_code == 200


def test_who_has_no_password_and_nowhere_to_prove_it_is_not_locked_out(client, user, later, settings):
    get_user_model().objects.filter(pk=user.pk).update(password=make_password(None))
    user.refresh_from_db()
    log_in(client, user)
    later(QUARTER)
    settings.SESSIONS_EXT = {"REAUTHENTICATE_URL": "/sso/"}
    assert problem(client.delete("/api/sessions")) == "401 insufficient_user_authentication"
    settings.SESSIONS_EXT = {}
    assert client.delete("/api/sessions").status_code == 200


@pytest.mark.parametrize("path", OPERATIONS)
def test_an_operation_of_the_projects_own_says_how_fresh(app, client, user, later, path):
    log_in(client, user)
    assert ask(app, path).json() == client.get(path).json() == {"user": user.get_username()}
    later(60)
    for answer in (ask(app, path), client.get(path)):
        assert is_insufficient(answer, 60)
        assert answer.json() == {"detail": "Confirm your password, or sign in again."}
    carry(app, confirm(app))
    assert ask(app, path).status_code == 200
    assert client.get(path).status_code == 401
    assert Client().get(path).status_code == 401
    assert "WWW-Authenticate" not in Client().get(path)


def test_the_decorator_answers_a_token_as_a_script(old):
    answer = ask(old, "/own/decorated")
    assert is_insufficient(answer, 900)
    assert answer.json()["code"] == "insufficient_user_authentication"
    carry(old, confirm(old))
    assert ask(old, "/own/decorated").status_code == 200


def test_the_routers_behind_such_a_class_answer_with_the_problem(app, later):
    assert ask(app, "/own/strict/sessions").status_code == 200
    later(60)
    answer = ask(app, "/own/strict/sessions")
    assert problem(answer) == "401 insufficient_user_authentication"
    assert is_insufficient(answer, 60)


# Confirming


def test_confirming_gives_new_tokens_of_the_same_session(old, user, later):
    before = old.tokens["refresh_token"]
    answer = confirm(old)
    carry(old, answer)
    assert old.tokens["session"]["id"] == old.id
    assert old.get("/sessions/current").status_code == 200
    assert ask(old).status_code == 200
    carry(old, refresh(old.tokens["refresh_token"]))
    assert ask(old).status_code == 200
    assert UserSession.objects.for_user(user).count() == 1
    later(11)
    assert problem(refresh(before)) == "401 invalid_refresh_token"  # it was used up, so this is a replay
    assert old.session.revoked_reason == "refresh_reuse"


def test_confirming_by_cookie_gives_a_new_cookie(client, user, later):
    here = log_in(client, user)
    later(QUARTER)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert problem(strict.post(f"/api{CONFIRM}", {"password": "password"}, JSON)) == "403 csrf_failed"
    before = client.cookies["sessionid"].value
    strict.cookies["csrftoken"] = CSRF
    answer = strict.post(f"/api{CONFIRM}", {"password": "password"}, JSON, headers={"X-CSRFToken": CSRF})
    assert (answer.status_code, answer.content) == (204, b"")
    assert strict.cookies["sessionid"].value != before
    assert strict.get("/own/fresh").status_code == 200
    assert strict.get("/row/").content.decode() == str(here.pk)


def test_a_wrong_password_is_told_and_counted(old, sent):
    answer = confirm(old, "wrong")
    assert problem(answer) == "401 wrong_password"
    assert answer["WWW-Authenticate"] == 'Bearer error="insufficient_user_authentication"'
    assert [failure.credentials for failure in sent.failures] == [
        {"username": old.session.user.get_username()}
    ]
    assert problem(old.delete("/sessions")) == "401 insufficient_user_authentication"
    assert old.get("/sessions").status_code == 200


def test_too_many_wrong_passwords_are_braked(old, later):
    for _ in range(5):
        assert problem(confirm(old, "wrong")) == "401 wrong_password"
    answer = confirm(old)
    assert problem(answer) == "429 throttled"
    assert answer["Retry-After"] == "60"
    later(60)
    carry(old, confirm(old))


def test_a_rate_of_the_projects_own_counts_addresses(old, rates):
    rates(sessions_confirm="1/min")
    carry(old, confirm(old))
    assert problem(confirm(old)) == "429 throttled"


def test_who_acts_as_somebody_else_confirms_nothing(old):
    UserSession.objects.filter(pk=old.id).update(impersonator=UserFactory())
    assert problem(confirm(old)) == "403 permission_denied"
    assert is_insufficient(ask(old), 60)


@pytest.mark.parametrize("has_password", [True, False])
@pytest.mark.parametrize("path", ["/sessions", "/sessions/{}"])
def test_who_acts_as_somebody_else_ends_none_of_their_sessions(client, user, has_password, path):
    if not has_password:
        user.set_unusable_password()
        user.save()
    theirs = UserSessionFactory(user=user)
    log_in(client, user, impersonator=UserFactory())
    assert problem(client.delete(f"/api{path.format(theirs.pk)}")) == "403 permission_denied"
    theirs.refresh_from_db()
    assert theirs.is_active


def test_a_confirmation_whose_hash_is_renewed_keeps_the_session(old, user, settings, rf):
    settings.PASSWORD_HASHERS = [
        *settings.PASSWORD_HASHERS,
        f"{OlderHasher.__module__}.OlderHasher",
    ]
    get_user_model().objects.filter(pk=user.pk).update(password=make_password("password", hasher="older"))
    user.refresh_from_db()
    pair = tokens.login(rf.post("/"), user, settings.AUTHENTICATION_BACKENDS[0])
    old.headers = {"Authorization": f"Bearer {pair.access_token}"}
    carry(old, confirm(old))
    user.refresh_from_db()
    assert not user.password.startswith("older")
    assert ask(old).status_code == 200
    assert old.tokens["session"]["id"] == str(pair.session.pk)


# Attacks


def test_an_old_token_is_not_fresh_after_a_confirmation_nor_is_its_successor(old):
    """Within the grace, the refresh token from before is answered with the current pair."""
    stolen = old.tokens
    carry(old, confirm(old))
    assert ask(old).status_code == 200
    pair = refresh(stolen["refresh_token"]).json()
    again = refresh(pair["refresh_token"]).json()
    for token in (stolen["access_token"], pair["access_token"], again["access_token"]):
        headers = {"Authorization": f"Bearer {token}"}
        assert is_insufficient(Client().get("/own/fresh", headers=headers), 60)
        assert Client().get("/api/sessions/current", headers=headers).status_code == 200
    assert ask(old).status_code == 200


def test_a_refresh_makes_nothing_fresh(old):
    """F34"""
    carry(old, refresh(old.tokens["refresh_token"]))
    assert is_insufficient(ask(old), 60)
    assert problem(old.delete("/sessions")) == "401 insufficient_user_authentication"


def test_a_confirmation_is_of_one_session_and_one_user(old, user):
    other, stranger = App(user), App(UserFactory(password="theirs"), "theirs")
    UserSession.objects.filter(pk=other.id).update(authenticated_at=old.session.authenticated_at)
    assert problem(confirm(old, "theirs")) == "401 wrong_password"
    carry(old, confirm(old))
    assert is_insufficient(ask(other), 60)
    assert ask(stranger).status_code == 200


def test_a_session_that_ends_meanwhile_is_not_confirmed(old, rf, client, user):
    """As in a request that is under way at the revoke."""
    request = rf.post("/", headers=old.headers)
    assert tokens.authenticate(request, old.tokens["access_token"])
    old.session.revoke("meanwhile")
    assert tokens.confirm(request) is None
    assert problem(confirm(old)) == "401 not_authenticated"


def test_a_session_that_ends_amid_the_confirmation_is_not_confirmed(old, rf, monkeypatch):
    request = rf.post("/", headers=old.headers)
    assert tokens.authenticate(request, old.tokens["access_token"])
    rotate = tokens.rotate_refresh_token

    def rotate_and_revoke(session, token_id):
        return rotate(session, token_id) and session.revoke("meanwhile")

    monkeypatch.setattr(tokens, "rotate_refresh_token", rotate_and_revoke)
    assert tokens.confirm(request) is None


def test_async_code_confirms_as_well(old, rf):
    request = rf.post("/", headers=old.headers)
    assert tokens.authenticate(request, old.tokens["access_token"])
    pair = async_to_sync(tokens.aconfirm)(request)
    assert tokens.verify(pair.access_token).is_fresh()


def test_a_session_that_ends_while_the_password_is_checked_is_not_confirmed(client, old, user, settings):
    settings.AUTHENTICATION_BACKENDS = [
        *settings.AUTHENTICATION_BACKENDS,
        "tests.views.test_prompt.Revoking",
    ]
    assert problem(confirm(old, "revoke")) == "401 not_authenticated"
    log_in(client, user)
    answer = client.post(f"/api{CONFIRM}", {"password": "revoke"}, JSON)
    assert answer.json()["code"] == "not_authenticated"
