"""The e-mail that tells of a sign-in from a new device, with a link that ends it."""

import logging
import threading
from datetime import timedelta
from functools import lru_cache
from typing import Any

import django
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core import mail, signing
from django.core.exceptions import ValidationError
from django.db.models import Case, Max, Q, When
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse

from .clients import device, network
from .managers import UserSessionQuerySet
from .models import RevokedReason, UserSession

logger = logging.getLogger("sessions_ext")

REMEMBERED = timedelta(days=90)
COMPARED = 300  # of the user agents and addresses seen last
LINK_LIFETIME = timedelta(days=7)
SALT = "sessions_ext.not_me"
# Whoever was there before one of these is no acquaintance.
DISTRUSTED = (RevokedReason.NOT_ME, RevokedReason.SUSPICIOUS, RevokedReason.REFRESH_REUSE)


def is_new_device(session: UserSession) -> bool:
    """Whether none of the user's earlier sessions of the last 90 days, and no trusted one, was of
    this device family and in this network. Never so for the user's very first; always for others
    without an address. One or two queries."""
    if session.is_adopted:
        return False  # adopted from before the app was installed: nobody signed in
    at = session.created_at
    sessions: UserSessionQuerySet = UserSession.objects.using(session._state.db).for_user(session.user_id)
    # Earlier ones only, so that of two at once from a new device one is told of.
    earlier = sessions.filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=session.pk))
    return not _is_familiar(session, earlier) and earlier.exists()


def _is_familiar(session: UserSession, earlier: UserSessionQuerySet) -> bool:
    here = network(session.ip_address)
    if here is None:
        return False  # nobody is known to have been there
    seen_lately = Q(last_activity_at__gte=session.created_at - REMEMBERED) | Q(
        pk__in=earlier.active().filter(is_trusted=True)
    )
    # The latest address is of whoever had the cookie, who may be why the session was revoked.
    latest = Case(When(is_revoked=True, then="ip_address"), default="last_ip_address")
    clients = (
        earlier.filter(seen_lately)
        .exclude(revoked_reason__in=DISTRUSTED)
        .values_list("user_agent", "ip_address", latest)
        .annotate(seen=Max("last_activity_at"))
        .order_by("-seen")[:COMPARED]
    )
    agents = {agent for agent, *addresses, _ in clients if here in map(network, addresses)}
    # All are named now: a name from the row may be of an older ua-parser.
    return device(session.user_agent) in map(device, agents)


def send_mail_about(session: UserSession, request: HttpRequest | None) -> None:
    """Tell the user by e-mail; nothing for one without an address. The text is made here, in the
    language of the request, and sent by a task or a thread: never in the login's way."""
    user: Any = session.user
    address = getattr(user, get_user_model().get_email_field_name(), "")
    if not address:
        return
    context = {"session": session, "user": user, "link": link_to_end(session, request)}
    subject, text, html = (
        render_to_string(f"sessions_ext/new_device_{part}", context)
        for part in ("subject.txt", "body.txt", "body.html")
    )
    _deliver(" ".join(subject.split()), text, html, address)


def link_to_end(session: UserSession, request: HttpRequest | None) -> str:
    """The address of "This wasn't me", on the current site of django.contrib.sites or else on the
    host of the request; "" without either, or where sessions_ext.urls are not included."""
    user_id = session._meta.get_field("user").value_to_string(session)
    token = signing.dumps([user_id, str(session.pk)], salt=SALT)
    try:
        path = reverse("sessions_ext:not_me", args=[token])
    except NoReverseMatch:
        return ""
    root = _root(request)
    return root and f"{root}{path}"


def _root(request: HttpRequest | None) -> str:
    try:
        scheme = request.scheme if request else "https"
        if apps.is_installed("django.contrib.sites"):
            from django.contrib.sites.models import Site

            return f"{scheme}://{Site.objects.get_current(request).domain}"
        return f"{scheme}://{request.get_host()}" if request else ""
    except Exception:
        # The host is for the caller to choose; whether there is a mail must not be.
        logger.warning("an e-mail about a new device goes without its link", exc_info=True)
        return ""


def session_of_link(token: str) -> tuple[UserSession | None, int]:
    """The session that a link names (None if it was deleted), and 200; 410 for a link that is
    older than seven days, 404 for what is no link of ours."""
    try:
        user_id, session_id = signing.loads(token, salt=SALT, max_age=LINK_LIFETIME)
        return UserSession.objects.primary.for_user(user_id).filter(pk=session_id).first(), 200
    except signing.SignatureExpired:
        return None, 410
    except signing.BadSignature:
        return None, 404
    except (ValidationError, ValueError, TypeError):  # of a user model from before
        return None, 404


def send(subject: str, text: str, html: str, address: str) -> None:
    mail.send_mail(subject, text, None, [address], html_message=html)


def _send_or_log(*message: str) -> None:
    try:
        send(*message)
    except Exception:
        logger.exception("could not send the e-mail about a new device")


def _start_thread(*message: str) -> None:
    threading.Thread(target=_send_or_log, args=message, name="sessions_ext.new_device").start()


if django.VERSION >= (6, 0):
    from django.tasks import task_backends
    from django.tasks.backends.immediate import ImmediateBackend
    from django.tasks.exceptions import InvalidTask, InvalidTaskBackend

    def _deliver(*message: str) -> None:
        try:
            if not isinstance(task_backends["default"], ImmediateBackend):
                # Not before: that module fails where the backend or its queue is missing.
                from .tasks import send_new_device_email

                send_new_device_email.enqueue(*message)
                return
        except (InvalidTask, InvalidTaskBackend) as error:
            _warn_once(str(error))
        _start_thread(*message)

    @lru_cache
    def _warn_once(error: str) -> None:
        logger.warning("django.tasks cannot send the e-mails about new devices, a thread does: %s", error)

else:
    _deliver = _start_thread
