"""Activity: when a request of a session came, and from where, as its row keeps it."""

import logging
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string

from . import clients, signals, verdict_cache
from .conf import conf
from .db.conditions import by_no_index
from .db.prepared import Parameter, Statement
from .db.updates import update
from .lifetime import active, bounds
from .models import UserSession
from .observers import Sighting, observe
from .payloads import hint_of
from .querysets import keyed

logger = logging.getLogger("sessions_ext")


def is_due(session: UserSession) -> bool:
    """Whether record() has something to write: TOUCH_INTERVAL has passed since the last activity."""
    return timezone.now() >= session.last_activity_at + conf.TOUCH_INTERVAL


def record(
    session: UserSession,
    request: HttpRequest | None,
    *,
    expires_at: datetime | None = None,
    store: Any = None,
) -> bool:
    """Record activity at the request's address, at most once per TOUCH_INTERVAL and if it is activity by
    IS_ACTIVITY, and move the end to `expires_at` if that is given. At most one statement. Returns whether
    it wrote: the session is then active, and the person has not logged in again since it was read. Sends
    session_client_changed when the address is new, and shows a Sighting to the OBSERVERS. With the `store`
    of the login, it corrects the row's hint, see payloads."""
    if not (is_due(session) or expires_at):
        return False
    seen: dict[str, Any] = {}
    if store is not None and (hint := hint_of(store)) and hint != session.payload_hint:
        seen["payload_hint"] = hint
    if not _is_activity(request):
        return expires_at is not None and _move_end(session, expires_at, **seen)
    now, address = timezone.now(), clients.client_ip(request)
    previous, previous_at = session.last_ip_address, session.last_activity_at
    if address:
        seen["last_ip_address"] = address
        if clients.network(address) != clients.network(previous):
            seen["last_ip_since"] = now
    is_recorded = _write(session, now, seen, expires_at)
    verdict_cache.delete(session)
    if not is_recorded:
        return False
    session.last_activity_at = now
    for column, value in seen.items():
        setattr(session, column, value)
    if address and address != previous:
        signals.send_after_commit(
            signals.session_client_changed,
            UserSession,
            session.as_row.db,
            session=session,
            request=request,
            previous_ip_address=previous,
            ip_address=address,
        )
    if request:
        observe(session, Sighting(request, now, address, previous_at, previous))
    return True


def _is_activity(request: HttpRequest | None) -> bool:
    """What IS_ACTIVITY says of a request. If it fails, the request counts: an error in it must not sign
    out everybody who is at work, and LIFETIME still ends what it would keep alive."""
    if conf.IS_ACTIVITY is None or request is None:
        return True
    try:
        return bool(import_string(conf.IS_ACTIVITY)(request))
    except Exception:
        logger.exception("IS_ACTIVITY failed, counting the request as activity")
        return True


def _move_end(session: UserSession, expires_at: datetime, **seen: Any) -> bool:
    row = session.as_row
    same = row.active().filter(authenticated_at=session.authenticated_at)
    is_moved = bool(update(same, expires_at=expires_at, **seen))
    verdict_cache.invalidate({session.user_id}, row.db)
    if is_moved:
        session.expires_at = expires_at
    return is_moved


def _write(session: UserSession, now: datetime, seen: dict[str, Any], expires_at: datetime | None) -> bool:
    if expires_at:
        return _move_end(session, expires_at, last_activity_at=now, **seen)
    rows = UserSession.objects.using(session.as_row.db)
    after = bounds(now)
    values = after | seen | {"user": session.user_id, "id": session.pk, "now": now}
    values["authenticated_at"] = session.authenticated_at
    return bool(TOUCH.update(rows, tuple(seen), *after, due=now - conf.TOUCH_INTERVAL, **values))


def _touch(rows: Any, seen: tuple[str, ...], *bounds: str) -> tuple[Any, dict[str, Any]]:
    fields = rows.model._meta.get_field
    changes = {"last_activity_at": Parameter("now", fields("last_activity_at"))}
    changes.update({column: Parameter(column, fields(column)) for column in seen})
    after = {column: Parameter(column, fields(column)) for column in bounds}
    due = Parameter("due", fields("last_activity_at"))
    return keyed(rows, "user", "id", "authenticated_at").filter(
        by_no_index(active(after)), last_activity_at__lte=due
    ), changes


# Requests wait for this, so its SQL is written once.
TOUCH = Statement(_touch)
