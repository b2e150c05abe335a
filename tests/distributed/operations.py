"""Every public operation, for a walk over its statements."""

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from uuid import uuid4

from django.conf import settings
from django.db.models.signals import pre_delete
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse
from django.utils import timezone

from sessions_ext import activity, authentication, make_room, tokens
from sessions_ext.models import UserSession
from sessions_ext.new_device import link_to_end
from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.admin.pages import END_ALL, LIST, act, ask, page_of
from tests.api.calls import App, refresh, sign_in

HASHERS = settings.PASSWORD_HASHERS
ACTIONS = ("revoke_selected", "revoke_users", "trust_selected", "untrust_selected")
OPERATIONS: dict[str, Callable[["World"], object]] = {}


class World:
    """A user with some sessions, a browser and an app; somebody else; and an administrator. Who is not asked
    for does not log in."""

    def __init__(self, later: Callable[[float], None]) -> None:
        self.later = later
        self.user, self.somebody = UserFactory(), UserFactory()
        UserSessionFactory(user=self.user, expired=True)
        UserSessionFactory(user=self.user, revoked=True)
        self.session, *_ = UserSessionFactory.create_batch(2, user=self.user)
        self.of_somebody = UserSessionFactory(user=self.somebody)
        UserSessionFactory(user=self.somebody, expired=True)
        self.request = RequestFactory().get("/", REMOTE_ADDR="198.51.100.7")
        self.rows = UserSession.objects.for_user(self.user)
        self.all_rows = UserSession.objects.all()

    @cached_property
    def browser(self) -> Client:
        client = Client()
        self.in_browser = log_in(client, self.user)
        return client

    @cached_property
    def root(self):
        return UserFactory(username="root", is_staff=True, is_superuser=True)

    @cached_property
    def admin(self) -> Client:
        client = Client()
        log_in(client, self.root)
        return client

    @cached_property
    def app(self) -> App:
        return App(self.user)

    @cached_property
    def root_app(self) -> App:
        return App(self.root)


def operation(name: str) -> Callable[[Callable[[World], object]], Callable[[World], object]]:
    def register(run: Callable[[World], object]) -> Callable[[World], object]:
        assert name not in OPERATIONS
        OPERATIONS[name] = run
        return run

    return register


# The model, the querysets and the manager

for _name, _arguments in {
    "revoke": ["user"],
    "disown": [],
    "trust": [],
    "untrust": [],
    "record_provider_access": ["mail"],
    "flag_suspicious": ["odd"],
    "save": [],
    "refresh_from_db": [],
    "delete": [],
}.items():
    operation(f"UserSession.{_name}")(
        lambda world, name=_name, arguments=_arguments: getattr(world.session, name)(*arguments)
    )
for _name in ("revoke", "touch", "trust", "untrust", "delete"):
    _arguments = ["user"] if _name == "revoke" else []

    def _of_user(world, name=_name, arguments=_arguments):
        world.later(3600)
        assert getattr(world.rows.active(), name)(*arguments)

    def _of_everybody(world, name=_name, arguments=_arguments):
        world.later(3600)
        assert getattr(world.all_rows.active(), name)(*arguments)

    operation(f"UserSessionQuerySet.{_name}")(_of_user)
    operation(f"UserSessionQuerySet.{_name} of everybody")(_of_everybody)
for _name in ("active", "expired", "revoked", "own", "ended", "newest_first", "oldest_first"):
    operation(f"UserSessionQuerySet.{_name}")(lambda world, name=_name: list(getattr(world.rows, name)()))


@operation("UserSessionQuerySet.for_user")
def _for_user(world):
    return (
        list(world.rows),
        world.rows.count(),
        world.rows.exists(),
        world.rows.filter(pk=world.session.pk).get(),
    )


@operation("UserSessionQuerySet.signed_in_since")
def _signed_in_since(world):
    return list(world.rows.signed_in_since(timezone.now() - timedelta(days=1)))


@operation("revoke the others")
def _revoke_others(world):
    assert world.rows.active().exclude(pk=world.session.pk).revoke("user")


@operation("revoke, where users act as others")
def _revoke_acting(world):
    world.of_somebody.impersonator = world.user
    world.of_somebody.save()
    with override_settings(
        SESSIONS_EXT=settings.SESSIONS_EXT | {"IMPERSONATOR": "tests.impersonation.site.impersonator"}
    ):
        assert world.rows.active().revoke("user")
    world.of_somebody.refresh_from_db()
    assert world.of_somebody.is_revoked


@operation("save some fields")
def _save_some(world):
    world.session.save(update_fields=["is_trusted"])
    world.session.save(update_fields=["user", "location"])


@operation("load a deferred field")
def _load(world):
    return world.rows.only("user_id").first().user_agent


@operation("UserSessionManager.start")
def _start(world):
    return UserSession.objects.start(world.user, request=world.request)


@operation("UserSessionManager.verify")
def _verify(world):
    assert UserSession.objects.verify(world.user.pk, world.session.pk)


@operation("UserSessionManager.enforce_limit")
def _enforce_limit(world):
    UserSessionFactory.create_batch(5, user=world.user)
    assert UserSession.objects.enforce_limit(world.user)


@operation("UserSessionManager.by_refresh_token")
def _by_refresh_token(world):
    return UserSession.objects.by_refresh_token(uuid4())


@operation("UserSessionManager.preview_cleanup")
def _preview_cleanup(world):
    assert UserSession.objects.preview_cleanup().expired


@operation("UserSessionManager.cleanup")
def _cleanup(world):
    assert UserSession.objects.cleanup().expired


@operation("cleanup for receivers")
def _cleanup_for_receivers(world):
    def receive(**kwargs):
        """What it does is of no matter."""

    pre_delete.connect(receive, sender=UserSession)
    try:
        assert UserSession.objects.cleanup().expired
    finally:
        pre_delete.disconnect(receive, sender=UserSession)


@operation("record activity")
def _record(world):
    world.later(3600)
    assert activity.record(world.session, world.request)
    assert activity.record(world.session, world.request, expires_at=timezone.now() + timedelta(days=1))


@operation("renew")
def _renew(world):
    authentication.renew(world.session)


# The user


@operation("a new password")
def _new_password(world):
    world.user.set_password("another")
    world.user.save()


@operation("a new hash of the password")
def _new_hash(world):
    before = world.user.password
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher", *HASHERS]):
        assert world.user.check_password("password")
    assert world.user.password != before


@operation("an account that is disabled")
def _disable(world):
    world.user.is_active = False
    world.user.save()


@operation("an account that is deleted")
def _delete_user(world):
    world.user.delete()


# Cookies, and the pages


@operation("a login")
def _login(world):
    client = Client(headers={"user-agent": "Safari"}, REMOTE_ADDR="203.0.113.7")
    assert (
        client.post("/login/", {"username": world.user.get_username(), "password": "password"}).status_code
        == 200
    )


@operation("the same login again")
def _login_again(world):
    name = world.user.get_username()
    assert world.browser.post("/login/", {"username": name, "password": "password"}).status_code == 200


@operation("a request")
def _request(world):
    assert world.browser.get("/who/").content.decode() == world.user.get_username()
    world.later(3600)
    assert world.browser.get("/row/", REMOTE_ADDR="198.51.100.7").status_code == 200


@operation("a logout")
def _logout(world):
    assert world.browser.post("/logout/").status_code == 200


@operation("a password change in the browser")
def _password_change(world):
    data = {"old_password": "password", "new_password1": "kumquat-7", "new_password2": "kumquat-7"}
    assert world.browser.post("/password/", data).status_code == 302


@operation("page list")
def _page_list(world):
    assert world.browser.get(reverse("sessions_ext:list")).status_code == 200


@operation("page revoke")
def _page_revoke(world):
    browser = world.browser
    for session in (world.session, world.in_browser):
        assert browser.post(reverse("sessions_ext:revoke", args=[session.pk])).status_code in (200, 302)


@operation("page revoke_others")
def _page_revoke_others(world):
    assert world.browser.post(reverse("sessions_ext:revoke_others")).status_code == 302


@operation("page trust")
def _page_trust(world):
    for trust in ("yes", "no"):
        path = reverse("sessions_ext:trust", args=[world.session.pk])
        assert world.browser.post(path, {"trust": trust}).status_code == 302


@operation("page reauthenticate")
def _page_reauthenticate(world):
    assert (
        world.browser.post(reverse("sessions_ext:reauthenticate"), {"password": "password"}).status_code
        == 302
    )


@operation("page make_room")
def _page_make_room(world):
    path = reverse("sessions_ext:make_room", args=[make_room.token_for(world.user)])
    with override_settings(SESSIONS_EXT=settings.SESSIONS_EXT | {"MAX_SESSIONS": 1, "ON_LIMIT": "deny"}):
        assert Client().get(path).status_code == 200
        assert Client().post(path, {"session": world.session.pk}).status_code == 200
    world.session.refresh_from_db()
    assert world.session.is_revoked


@operation("page not_me")
def _page_not_me(world):
    link = link_to_end(world.session, world.request).removeprefix("http://testserver")
    assert Client().get(link).status_code == Client().post(link).status_code == 200


# Tokens, and the API


@operation("tokens.verify")
def _tokens_verify(world):
    assert tokens.verify(world.app.tokens["access_token"])


@operation("API login")
def _api_login(world):
    assert sign_in(world.user.get_username()).status_code == 201


@operation("API refresh")
def _api_refresh(world):
    used = world.app.tokens["refresh_token"]
    assert refresh(used).status_code == 200
    assert refresh(used).status_code == 200
    world.later(60)
    assert refresh(used).status_code == 401


def _api(name: str, method: str, path: str, data: object = None, status: int = 200) -> None:
    def call(world: World) -> None:
        app = world.root_app if "user_session" in name else world.app
        world.later(70)
        answer = app.call(method, path.format(world=world), data)
        assert answer.status_code == status, answer.content

    operation(f"API {name}")(call)


_api("list_sessions", "GET", "/sessions?state=all")
_api("revoke_other_sessions", "DELETE", "/sessions")
_api("get_current_session", "GET", "/sessions/current")
_api("confirm", "POST", "/sessions/current/confirm", {"password": "password"})
_api("logout", "DELETE", "/sessions/current", status=204)
_api("get_session", "GET", "/sessions/{world.session.pk}")
_api("trust_session", "PATCH", "/sessions/{world.session.pk}", {"is_trusted": True})
_api("revoke_session", "DELETE", "/sessions/{world.session.pk}", status=204)
_api("list_user_sessions", "GET", "/users/{world.user.pk}/sessions")
_api("revoke_user_sessions", "DELETE", "/users/{world.user.pk}/sessions")
_api("revoke_user_session", "DELETE", "/users/{world.user.pk}/sessions/{world.session.pk}", status=204)


# The admin

for _name in ACTIONS:

    def _act(world, name=_name):
        if name == "untrust_selected":
            world.session.trust()
        sessions = (world.session, world.of_somebody)
        assert ask(world.admin, name, *sessions).status_code == 200
        assert act(world.admin, name, *sessions).status_code == 200

    operation(f"admin {_name}")(_act)


@operation("admin changelist")
def _admin_list(world):
    for query in ({}, {"q": world.user.get_username()}, {"q": "192.0.2.0/24"}, {"state": "active"}):
        assert world.admin.get(LIST, query).status_code == 200


@operation("admin change")
def _admin_row(world):
    assert world.admin.get(page_of(world.session)).status_code == 200


@operation("admin history")
def _admin_history(world):
    path = reverse("admin:sessions_ext_usersession_history", args=[world.session.pk])
    assert world.admin.get(path).status_code == 200


@operation("admin delete")
def _admin_delete(world):
    path = reverse("admin:sessions_ext_usersession_delete", args=[world.session.pk])
    assert world.admin.post(path, {"post": "yes"}).status_code in (302, 403)


@operation("admin overview")
def _admin_overview(world):
    assert world.admin.get(reverse("admin:sessions_ext_usersession_overview")).status_code == 200


@operation("admin end_all")
def _admin_end_all(world):
    assert world.admin.post(END_ALL, {"word": "end all", "spare_own": "on"}).status_code == 302
