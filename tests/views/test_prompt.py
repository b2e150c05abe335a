"""The prompt finds the person and not the name, has a brake, and dies with its session."""

import re
import sys

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.hashers import make_password
from django.contrib.auth.signals import user_login_failed
from django.test import Client

from sessions_ext import passwords
from sessions_ext.models import UserSession
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.api.test_throttle import NO_CACHE, together
from tests.views.conftest import long_ago
from tests.views.pages import OTHERS, reason_of, sign_out, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return UserFactory(email="ada@example.org")


class ByAddress(BaseBackend):
    """A project's own, whose people sign in by e-mail. It says nothing to a user name."""

    def authenticate(self, request, username=None, password=None):
        found = get_user_model().objects.filter(email=username).first()
        return found if found and found.check_password(password) else None

    def get_user(self, user_id):
        return get_user_model().objects.filter(pk=user_id).first()


class ByKeyword(ByAddress):
    def authenticate(self, request, email=None, password=None):
        return super().authenticate(request, email, password)


class ByNumber(ModelBackend):
    """Knows people by something that the prompt cannot know, and uses Django's hashes."""

    def authenticate(self, request, number=None, password=None):
        raise AssertionError("nobody sends a number")


class ByPhone(ByAddress):
    """The same, and no heir of Django's backend."""

    authenticate = ByNumber.authenticate


class ByWhatever(ByAddress):
    def authenticate(self, request, **credentials):
        return super().authenticate(request, credentials.get("email"), credentials["password"])


class Directory(BaseBackend):
    """As of LDAP: the password is not Django's."""

    def authenticate(self, request, username=None, password=None, **more):
        if username is None:
            raise AttributeError("as django-auth-ldap does")
        users = get_user_model().objects
        return (
            users.filter(**{get_user_model().USERNAME_FIELD: username}).first()
            if password == "theirs"
            else None
        )

    get_user = ByAddress.get_user


class SingleSignOn(ModelBackend):
    def authenticate(self, request, **kwargs):
        return None


def use(settings, *backends):
    sys.modules.setdefault(__name__, sys.modules[ByAddress.__module__])
    settings.AUTHENTICATION_BACKENDS = [
        each if isinstance(each, str) else f"{__name__}.{each.__name__}" for each in backends
    ]


def signed_in(user, settings):
    client = Client()
    client.force_login(user, settings.AUTHENTICATION_BACKENDS[0])
    here = UserSession.objects.for_user(user).newest_first()[0]
    long_ago(here)
    return client


def asks(response):
    return "Confirm that it\N{RIGHT SINGLE QUOTATION MARK}s you" in text(response)


@pytest.mark.parametrize("backend", [ByAddress, ByKeyword, ByNumber, ByPhone, ByWhatever])
def test_the_right_password_passes_whatever_name_people_sign_in_by(user, there, settings, backend):
    use(settings, backend)
    client = signed_in(user, settings)
    assert "That is not your password." in text(client.post(sign_out(there), {"password": "wrong"}))
    assert reason_of(there) == ""
    client.post(sign_out(there), {"password": "password"})
    assert reason_of(there) == "user"


def test_whose_name_is_somebody_elses_address_is_not_taken_for_them(user, there, settings):
    UserFactory(**{get_user_model().USERNAME_FIELD: "ada@example.org"}, password="theirs")
    use(settings, "django.contrib.auth.backends.ModelBackend", ByAddress)
    client = signed_in(user, settings)
    client.post(sign_out(there), {"password": "theirs"})
    assert reason_of(there) == ""
    client.post(sign_out(there), {"password": "password"})
    assert reason_of(there) == "user"


def test_the_password_of_a_directory_is_asked_for_and_right(user, there, settings):
    get_user_model().objects.filter(pk=user.pk).update(password=make_password(None))
    user.refresh_from_db()
    use(settings, Directory, ByNumber)
    client = signed_in(user, settings)
    assert asks(client.post(sign_out(there)))
    assert asks(client.post(sign_out(there), {"password": "password"}))
    assert reason_of(there) == ""
    client.post(sign_out(there), {"password": "theirs"})
    assert reason_of(there) == "user"


def test_somebody_of_single_sign_on_is_asked_for_no_password(user, there, settings):
    get_user_model().objects.filter(pk=user.pk).update(password=make_password(None))
    user.refresh_from_db()
    use(settings, SingleSignOn, Directory)
    signed_in(user, settings).post(sign_out(there))
    assert reason_of(there) == "user"


def test_a_login_that_no_backend_of_the_project_vouches_for_has_no_password(user):
    user.set_unusable_password()
    for path in (None, f"{__name__}.Directory"):
        assert not passwords.has_password(user, path)


def test_a_wrong_password_is_one_failed_login(user, there, settings, receiver_of):
    use(settings, "django.contrib.auth.backends.ModelBackend", ByAddress, ByKeyword, Directory)
    failures = receiver_of(user_login_failed)
    client = signed_in(user, settings)
    client.post(sign_out(there), {"password": "wrong"})
    assert [failure["credentials"] for failure in failures] == [{"username": user.get_username()}]
    client.post(sign_out(there), {"password": "password"})
    assert len(failures) == 1


def test_axes_counts_the_prompt_and_locks_it(client, stale, there, user, settings):
    settings.AXES_ENABLED, settings.AXES_FAILURE_LIMIT = True, 3
    use(settings, "axes.backends.AxesStandaloneBackend", *settings.AUTHENTICATION_BACKENDS)
    for _ in range(3):
        assert "That is not your password." in text(client.post(sign_out(there), {"password": "wrong"}))
    assert AccessAttempt.objects.get().failures_since_start == 3
    assert asks(client.post(sign_out(there), {"password": "password"}))
    assert reason_of(there) == ""


# The brake


def knock(client, session, password="wrong"):
    return client.post(sign_out(session), {"password": password})


def test_forty_wrong_passwords_meet_a_brake(client, stale, there, receiver_of, later):
    failures = receiver_of(user_login_failed)
    answers = [knock(client, there) for _ in range(40)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 35
    assert "Too many attempts. Try again later." in text(answers[-1])
    assert answers[-1]["Retry-After"] == "60"
    assert len(failures) == 5
    assert knock(client, there, "password").status_code == 429
    assert reason_of(there) == ""
    later(61)
    knock(client, there, "password")
    assert reason_of(there) == "user"


def test_the_right_password_forgets_the_wrong_ones(client, here, user, settings):
    settings.SESSIONS_EXT = {"REAUTHENTICATE_AFTER": 0}
    for _ in range(3):
        other = UserSessionFactory(user=user)
        for _ in range(4):
            assert knock(client, other).status_code == 200
        knock(client, other, "password")
        assert reason_of(other) == "user"


def test_a_thief_of_one_session_keeps_no_other_from_ending_it(client, stale, user):
    thief = Client()
    stolen = log_in(thief, user)
    long_ago(stolen)
    for _ in range(6):
        answer = thief.post(OTHERS, {"password": "guess"})
    assert answer.status_code == 429
    knock(client, stolen, "password")
    assert reason_of(stolen) == "user"


def test_a_burst_does_not_pass_the_brake(client, stale, there, transactional_db):
    def call():
        one = Client()
        one.cookies = client.cookies
        return knock(one, there).status_code

    assert sorted(together(8, call)) == [200] * 5 + [429] * 3


@pytest.mark.parametrize("cache", NO_CACHE.values(), ids=NO_CACHE)
def test_without_a_cache_that_answers_the_prompt_works(client, stale, there, settings, caplog, cache):
    settings.CACHES = {"default": cache}
    assert [knock(client, there).status_code for _ in range(7)] == [200] * 7
    knock(client, there, "password")
    assert reason_of(there) == "user"
    assert "a confirmation is not throttled: the cache failed" in caplog.text


# Its session


def form_of(response):
    fields = re.findall(r'<input[^>]* name="(\w+)"(?:[^>]* value="([^"]*)")?', response.content.decode())
    return dict(fields)


def test_a_form_of_a_session_that_has_ended_does_nothing(client, stale, there, user):
    form = form_of(client.post(sign_out(there))) | {"password": "password"}
    assert form["session"] == str(stale.pk)
    stale.revoke("stolen")
    assert client.post(sign_out(there), form).url.startswith("/login/")
    long_ago(log_in(client, user))
    assert asks(client.post(sign_out(there), form))
    assert reason_of(there) == ""
    client.post(sign_out(there), form_of(client.post(sign_out(there))) | {"password": "password"})
    assert reason_of(there) == "user"


def test_a_session_that_ends_while_the_password_is_checked_does_nothing(client, stale, there, settings):
    use(settings, *settings.AUTHENTICATION_BACKENDS, Revoking)
    assert asks(client.post(sign_out(there), {"password": "revoke"}))
    assert reason_of(there) == ""
    assert client.post(sign_out(there)).url.startswith("/login/")


class Revoking(BaseBackend):
    def authenticate(self, request, username=None, password=None):
        request.user_session.revoke("meanwhile")
        return request.user
