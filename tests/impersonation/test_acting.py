"""What a session is in which somebody acts as the user."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.test import Client, override_settings
from django.utils import timezone

from sessions_ext import tokens
from sessions_ext.exceptions import SessionLimitReached
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.new_device import is_new_device
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.impersonation.site import BACKEND, SETTINGS, impersonator
from tests.new_device.signing_in import wait

pytestmark = [pytest.mark.django_db, pytest.mark.user_model]

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
HOUR = timedelta(hours=1)
IMPERSONATOR = SETTINGS["IMPERSONATOR"]


def row(client):
    return client.get("/row/").content.decode()


def test_it_names_who_acts(act, client, staff, user, engine):
    acting = act(user)
    assert (acting.user, acting.impersonator, acting.is_impersonated) == (user, staff, True)
    assert client.get("/who/").content.decode() == user.get_username()
    assert not UserSession.objects.for_user(staff).active().exists()


def test_it_names_who_acts_in_the_async_world(apost, aget, client, staff, user):
    log_in(client, staff)
    response = aget(f"/aact/{user.pk}/")
    acting = UserSession.objects.get(pk=response.content.decode())
    assert (acting.user, acting.impersonator) == (user, staff)


def test_an_ordinary_login_is_nobody_elses(client, user):
    client.post("/login/", {"username": user.get_username(), "password": "password"})
    assert UserSession.objects.get(pk=row(client)).impersonator is None


def test_whoever_comes_back_is_in_a_session_of_their_own(act, act_on, staff, user):
    acting = act(user)
    own = act_on(staff)
    assert (own.user, own.impersonator, own.is_active) == (staff, None, True)
    acting.refresh_from_db()
    assert acting.revoked_reason == RevokedReason.LOGOUT


def test_whoever_acts_from_an_acted_session_is_the_same_person(act, act_on, staff, user):
    """The clerk, and not the customer as whom the clerk acted before."""
    other = UserFactory()
    act(user)
    assert act_on(other).impersonator == staff
    assert act_on(user).impersonator == staff
    assert act_on(staff).impersonator is None


def test_neither_acting_nor_coming_back_is_a_proof_of_who_one_is(act, act_on, staff, user):
    for session in (act(user), act_on(staff)):
        assert session.authenticated_at <= timezone.now() - timedelta(days=29)


def test_coming_back_is_no_proof_where_a_proof_is_good_for_longer_than_a_session(act, act_on, staff, user):
    with override_settings(SESSIONS_EXT={**django_settings.SESSIONS_EXT, "LIFETIME": 600}):
        act(user)
        assert not act_on(staff).is_fresh()


def test_acting_as_oneself_is_no_proof_either(act_on, client, staff, later):
    """Nor does the session from before go on."""
    before = log_in(client, staff)
    later(3600)
    session = act_on(staff)
    assert session.impersonator is None
    assert not session.is_fresh()
    assert list(UserSession.objects.active()) == [session]
    assert session != before


def test_whoever_acts_as_the_same_user_again_does_so_in_one_session(act, act_on, staff, user):
    act(user)
    again = act_on(user)
    assert again.impersonator == staff
    assert list(UserSession.objects.active()) == [again]


def test_a_user_who_signs_in_where_somebody_acted_as_them_has_a_session_of_their_own(act, client, user):
    acting = act(user)
    client.post("/login/", {"username": user.get_username(), "password": "password"})
    session = UserSession.objects.get(pk=row(client))
    assert not session.is_impersonated
    assert session.is_fresh()
    acting.refresh_from_db()
    assert acting.revoked_reason == RevokedReason.LOGOUT


def impersonator_too_late(request, user):
    acting = impersonator(request, user)
    UserSession.objects.all().revoke("admin")
    return acting


@pytest.mark.parametrize("path", [IMPERSONATOR, f"{__name__}.impersonator_too_late"])
@pytest.mark.parametrize("acts", [True, False])
def test_nobody_goes_on_to_act_from_a_session_that_has_ended(client, staff, user, settings, path, acts):
    log_in(client, staff)
    if acts:
        client.get(f"/act/{user.pk}/")
    settings.SESSIONS_EXT = {**settings.SESSIONS_EXT, "IMPERSONATOR": path}
    revoked = "?revoked" if path == IMPERSONATOR else ""
    assert client.get(f"/act/{user.pk if acts else staff.pk}/{revoked}").status_code == 403
    assert row(client) == "none"
    assert not UserSession.objects.active().exists()


def test_it_lives_as_long_as_it_may_whatever_the_cookie(act, client, user, later, settings):
    settings.SESSIONS_EXT = {**django_settings.SESSIONS_EXT, "IMPERSONATION_LIFETIME": HOUR}
    acting = act(user)
    assert acting.expires_at == acting.created_at + HOUR
    for _ in range(3):
        later(1190)
        client.get("/put/?key=cart&value=book")  # which sets the cookie anew
        acting.refresh_from_db()
        assert acting.expires_at == acting.created_at + HOUR
    assert row(client) == str(acting.pk)
    later(40)
    assert row(client) == "none"


def test_it_lives_no_longer_than_any_session(act, user, settings):
    settings.SESSIONS_EXT = {**django_settings.SESSIONS_EXT, "LIFETIME": 600, "IMPERSONATION_LIFETIME": HOUR}
    acting = act(user)
    assert acting.expires_at == acting.created_at + timedelta(minutes=10)


@pytest.mark.parametrize("policy", ["revoke_oldest", "revoke_idlest", "deny"])
def test_it_evicts_nobody_and_takes_nobodys_place(act, client, user, settings, policy):
    settings.SESSIONS_EXT = {**django_settings.SESSIONS_EXT, "MAX_SESSIONS": 1, "ON_LIMIT": policy}
    customers = UserSessionFactory(user=user, created_at=timezone.now() - HOUR)
    acting = act(user)
    assert UserSession.objects.enforce_limit(user) == []
    customers.refresh_from_db()
    assert customers.is_active
    customers.revoke("user")
    newest = UserSession.objects.start(user)
    assert newest.is_active
    assert row(client) == str(acting.pk)
    if policy == "deny":
        with pytest.raises(SessionLimitReached):
            UserSession.objects.start(user)


def test_a_limit_of_zero_is_for_the_users_own_logins(act, user, settings):
    settings.SESSIONS_EXT = {
        **django_settings.SESSIONS_EXT,
        "MAX_SESSIONS": "tests.impersonation.test_acting.no_user",
    }
    assert act(user).is_active
    with pytest.raises(SessionLimitReached):
        UserSession.objects.start(user)


def no_user(user):
    return None if user.is_staff else 0


def of_requests(user, request):
    return 1 if request and request.path == "/login/" else None


def test_a_limit_may_depend_on_the_request(client, user, settings):
    settings.SESSIONS_EXT = {"MAX_SESSIONS": "tests.impersonation.test_acting.of_requests"}
    first, second = (UserSession.objects.start(user) for _ in range(2))
    client.post("/login/", {"username": user.get_username(), "password": "password"})
    assert [str(session.pk) for session in UserSession.objects.for_user(user).active()] == [row(client)]
    assert first.created_at <= second.created_at


def test_nobody_is_told_of_a_new_device(
    act, act_on, staff, user, settings, django_capture_on_commit_callbacks
):
    settings.SESSIONS_EXT = {**django_settings.SESSIONS_EXT, "NEW_DEVICE_EMAIL": True}
    user.email = "customer@example.com"
    user.save()
    UserSessionFactory(user=user)
    with django_capture_on_commit_callbacks(execute=True):
        acting = act(user)
        act_on(staff)
    wait()
    assert not is_new_device(acting)
    assert mail.outbox == []


def test_where_staff_were_is_not_where_the_user_was(act, user):
    UserSessionFactory(user=user, ip_address="198.51.100.7")
    acting = act(user)
    UserSession.objects.filter(pk=acting.pk).update(user_agent=AGENT, ip_address="203.0.113.7")
    assert is_new_device(UserSessionFactory(user=user, user_agent=AGENT, ip_address="203.0.113.7"))


def test_it_is_never_trusted(act, client, user):
    acting = act(user)
    assert acting.trust() is False
    assert UserSession.objects.for_user(user).trust() == 0
    assert client.post(f"/devices/{acting.pk}/trust/").status_code == 404
    acting.refresh_from_db()
    assert not acting.is_trusted


def test_nobody_acts_from_a_session_that_has_ended_meanwhile(client, staff, user):
    log_in(client, staff)
    assert client.get(f"/act/{user.pk}/?revoked").status_code == 403
    assert row(client) == "none"
    assert not UserSession.objects.for_user(user).exists()


def test_nobody_acts_who_is_not_signed_in(client, user):
    assert client.get(f"/act/{user.pk}/").status_code == 403
    assert row(client) == "none"


def test_a_login_by_tokens_may_be_somebody_elses_as_well(rf, staff, user):
    request = rf.post("/act/")
    request.session = type("Store", (), {"replaced_login": None})()
    with pytest.raises(PermissionDenied):
        tokens.login(request, user, BACKEND)
    assert not UserSession.objects.exists()


def by_caller(request, user):
    return request.user


def test_tokens_may_be_those_of_who_acts(rf, staff, user, settings):
    settings.SESSIONS_EXT = {"IMPERSONATOR": "tests.impersonation.test_acting.by_caller"}
    request = rf.post("/")
    request.user = staff
    session = tokens.login(request, user, BACKEND).session
    assert (session.user, session.impersonator) == (user, staff)
    assert session.expires_at <= timezone.now() + HOUR


def test_another_browser_of_the_user_is_left_alone(act, client, user):
    theirs = Client()
    session = log_in(theirs, user)
    before = UserSession.objects.filter(pk=session.pk).values().get()
    act(user)
    client.get("/who/")
    client.post("/logout/")
    assert UserSession.objects.filter(pk=session.pk).values().get() == before
    assert row(theirs) == str(session.pk)
