"""Whether a sign-in is from a new device, and the link that ends it."""

import logging
from datetime import timedelta

from django.apps import apps
from django.core import mail, signing
from django.core.exceptions import ValidationError
from django.db.models import Case, Max, Q, When
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from .clients import device, network
from .models import RevokedReason, UserSession
from .querysets import UserSessionQuerySet

logger = logging.getLogger("sessions_ext")

REMEMBERED = timedelta(days=90)
COMPARED = 300  # of the user agents and addresses seen last
LINK_LIFETIME = timedelta(days=7)
SALT = "sessions_ext.not_me"
# A session that ended for one of these says nothing about the user's own devices.
DISTRUSTED = (RevokedReason.NOT_ME, RevokedReason.SUSPICIOUS, RevokedReason.REFRESH_REUSE)


def is_new_device(session: UserSession) -> bool:
    """Whether the user is new to this device family in this network: no earlier session of the last 90
    days, and no active trusted one, had both. Always False for the user's very first session. Always
    True for any other without an address. One or two queries."""
    if session.is_adopted or session.is_impersonated:
        return False  # adopted from before the app was installed, or staff: the user has not signed in
    at = session.created_at
    users: UserSessionQuerySet = UserSession.objects.using(session._state.db).for_user(session.user_id)
    sessions = users.own()
    # Only earlier ones, so that of two sign-ins at once from a new device, one is reported.
    earlier = sessions.filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=session.pk))
    return not _is_familiar(session, earlier) and earlier.exists()


def _is_familiar(session: UserSession, earlier: UserSessionQuerySet) -> bool:
    here = network(session.ip_address)
    if here is None:
        return False  # an unknown address is never familiar
    seen_lately = Q(last_activity_at__gte=session.created_at - REMEMBERED) | Q(
        pk__in=earlier.active().filter(is_trusted=True)
    )
    # The latest address belongs to whoever had the cookie. In a revoked session that may have been a
    # thief.
    latest = Case(When(is_revoked=True, then="ip_address"), default="last_ip_address")
    clients = (
        earlier.filter(seen_lately)
        .exclude(revoked_reason__in=DISTRUSTED)
        .values_list("user_agent", "ip_address", latest)
        .annotate(seen=Max("last_activity_at"))
        .order_by("-seen")[:COMPARED]
    )
    agents = {agent for agent, *addresses, _ in clients if here in map(network, addresses)}
    # Name them all now: a row's name may come from an older ua-parser.
    return device(session.user_agent) in map(device, agents)


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
        # The caller chooses the host, but must not choose whether there is an e-mail.
        logger.warning("could not make the link of a new device e-mail, sending it without", exc_info=True)
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
    except (ValidationError, ValueError, TypeError):  # made for an earlier user model
        return None, 404


def send(subject: str, text: str, html: str, address: str) -> None:
    mail.send_mail(subject, text, None, [address], html_message=html)
