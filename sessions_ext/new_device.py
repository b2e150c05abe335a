"""Whether a sign-in is from a new device, and the link that ends it."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import reduce
from itertools import starmap
from operator import or_
from typing import Any, NamedTuple

from django.apps import apps
from django.core import mail, signing
from django.core.exceptions import ValidationError
from django.db.models import Case, Count, DateTimeField, ExpressionWrapper, Max, Min, Q, Value, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from .clients import device, network
from .models import RevokedReason, UserSession
from .querysets import UserSessionQuerySet

logger = logging.getLogger("sessions_ext")

REMEMBERED = timedelta(days=90)
COMPARED = 300  # of the user agents and addresses seen last
SETTLED = timedelta(days=7)  # longer than a thief's use of a session goes unnoticed
MAILS_A_DAY = 10
LINK_LIFETIME = timedelta(days=7)
SALT = "sessions_ext.not_me"


def ended_as(*reasons: RevokedReason) -> Q:
    """Ended for one of these reasons, with a note or without."""
    notes = (Q(revoked_reason__startswith=f"{reason}: ") for reason in reasons)
    return reduce(or_, notes, Q(revoked_reason__in=reasons))


# A session that ended for one of these says nothing about the user's own devices.
DISTRUSTED = ended_as(RevokedReason.SUSPICIOUS, RevokedReason.REFRESH_REUSE)
# A revoke for one of these says nothing against whoever used the session last.
NEUTRAL = (RevokedReason.LOGOUT, RevokedReason.USER, RevokedReason.LIMIT, RevokedReason.PASSWORD_CHANGE)
DISOWNED = Q(disowned_at__isnull=False) | ended_as(RevokedReason.NOT_ME)


class Seen(NamedTuple):
    """The sessions with one user agent from the same addresses. `since` is when the first of them began."""

    user_agent: str
    ip_address: str | None
    latest: str | None
    is_disowned: bool
    since: datetime
    last: datetime
    sessions: int

    @property
    def networks(self) -> set[str | None]:
        return {network(self.ip_address), network(self.latest)}

    @property
    def places(self) -> set[tuple[str, str | None]]:
        """The device family in each network."""
        family = device(self.user_agent)  # named now: a row's name may come from an older ua-parser
        return {(family, here) for here in self.networks}


def is_new_device(session: UserSession) -> bool:
    """Whether the user is new to this device family in this network: no earlier session of the last 90
    days, and no active trusted one, had both. Always False for the first sign-in of an account. Always
    True for any other without an address. One or two queries."""
    if session.is_adopted or session.is_impersonated:
        return False  # adopted from before the app was installed, or staff: the user has not signed in
    earlier = _earlier(session)
    return not _is_familiar(session, earlier) and (earlier.exists() or _has_signed_in_before(session))


def is_one_mail_too_many(session: UserSession) -> bool:
    """Whether ten sign-ins since midnight (UTC) were from new devices, so that the user was told of them.
    Logs a warning for the first that is not told of. Two queries."""
    midnight = session.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
    earlier = _earlier(session)
    today = [*_seen(earlier.filter(created_at__gte=midnight))]
    before = _seen(earlier.filter(created_at__lt=midnight, last_activity_at__gte=midnight - REMEMBERED))
    # Only these: to name devices takes a while, if there are hundreds.
    here = {network(each.ip_address) for each in today}
    before = [each for each in before if here & each.networks]
    known = {where for each in before for where in each.places}
    # Each sign-in from there is news, not only the first.
    disowned = {where for each in before + today if each.is_disowned for where in each.places}
    signed_in = [(device(each.user_agent), network(each.ip_address)) for each in today]
    new = {where for where in signed_in if where[1]} - disowned - known
    again = [
        each.sessions
        for each, where in zip(today, signed_in, strict=True)
        if where in disowned or not where[1]
    ]
    count = len(new) + sum(again)
    if count == MAILS_A_DAY:
        logger.warning("user %s was told of %d new devices today, sending no more", session.user_id, count)
    return count >= MAILS_A_DAY


def _earlier(session: UserSession) -> UserSessionQuerySet:
    # Only earlier ones, so that of two sign-ins at once from a new device, one is reported.
    at = session.created_at
    sessions: UserSessionQuerySet = UserSession.objects.using(session._state.db).for_user(session.user_id)
    return sessions.own().filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=session.pk))


def _is_familiar(session: UserSession, earlier: UserSessionQuerySet) -> bool:
    here = network(session.ip_address)
    if here is None:
        return False  # an unknown address is never familiar
    lately = Q(last_activity_at__gte=session.created_at - REMEMBERED) | Q(
        pk__in=earlier.active().filter(is_trusted=True)
    )
    seen = [each for each in _seen(earlier.filter(lately)) if here in each.networks]
    # Name them all now: a row's name may come from an older ua-parser.
    family = device(session.user_agent)
    agents = {agent for agent in {each.user_agent for each in seen} if device(agent) == family}
    seen = [each for each in seen if each.user_agent in agents]
    # Whoever was disowned may have signed in from there again.
    disowned_since = min((each.since for each in seen if each.is_disowned), default=session.created_at)
    return any(not each.is_disowned and each.since <= disowned_since for each in seen)


def _seen(sessions: UserSessionQuerySet) -> Iterable[Seen]:
    """What is known of the user's devices, the latest first."""
    # The latest address belongs to whoever had the cookie. In a revoked session that may have been a
    # thief, unless the session was used there for long.
    in_network_since = Coalesce("last_ip_since", "created_at")
    settled = ExpressionWrapper(in_network_since + Value(SETTLED), output_field=DateTimeField())
    vouches = Q(is_revoked=False) | DISOWNED | Q(revoked_reason__in=NEUTRAL, last_activity_at__gte=settled)
    latest = Case(When(vouches, then="last_ip_address"), default="ip_address")
    is_disowned = Case(When(DISOWNED, then=True), default=False)
    return starmap(
        Seen,
        sessions.exclude(~DISOWNED & DISTRUSTED)
        .values_list("user_agent", "ip_address", latest, is_disowned)
        .annotate(since=Min("created_at"), last=Max("last_activity_at"), sessions=Count("pk"))
        .order_by("-last")[:COMPARED],
    )


def _has_signed_in_before(session: UserSession) -> bool:
    """Whether the account was used before this sign-in, though its rows may have been deleted since."""
    user: Any = session.user
    if any(field.name == "last_login" for field in user._meta.get_fields()):
        return getattr(user, "_sessions_ext_last_login", user.last_login) is not None
    joined = getattr(user, "date_joined", None)
    return joined is not None and joined < session.created_at - timedelta(days=1)


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
