"""Activity: when a request of a session came, and from where, as its row keeps it."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from . import clients, signals, verdicts
from .conf import conf
from .db.prepared import Parameter, Statement
from .db.updates import update
from .lifetime import bounds
from .models import UserSession
from .observers import Sighting, observe
from .querysets import one_active


def is_due(session: UserSession) -> bool:
    """Whether record() has something to write: TOUCH_INTERVAL has passed since the last activity."""
    return timezone.now() >= session.last_activity_at + conf.TOUCH_INTERVAL


def record(session: UserSession, request: HttpRequest | None, *, expires_at: datetime | None = None) -> bool:
    """Record activity at the request's address, at most once per TOUCH_INTERVAL, and move the end to
    `expires_at` if that is given. At most one statement. Returns whether it wrote: the session is then
    active, and the person has not logged in again since it was read. Sends session_client_changed when
    the address is new, and shows a Sighting to the OBSERVERS."""
    if not (is_due(session) or expires_at):
        return False
    now, address = timezone.now(), clients.client_ip(request)
    is_recorded = _write(session, now, address, expires_at)
    verdicts.delete(session)
    if not is_recorded:
        return False
    previous, previous_at = session.last_ip_address, session.last_activity_at
    session.last_activity_at, session.expires_at = now, expires_at or session.expires_at
    if address and address != previous:
        session.last_ip_address = address
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


def _write(session: UserSession, now: datetime, address: str | None, expires_at: datetime | None) -> bool:
    if expires_at:
        row = session.as_row
        seen = {"last_ip_address": address} if address else {}
        same = row.active(now).filter(authenticated_at=session.authenticated_at)
        is_moved = bool(update(same, last_activity_at=now, expires_at=expires_at, **seen))
        verdicts.invalidate({session.user_id}, row.db)
        return is_moved
    rows = UserSession.objects.using(session.as_row.db)
    after = bounds(now)
    values = after | {"user": session.user_id, "id": session.pk, "now": now, "address": address}
    values["authenticated_at"] = session.authenticated_at
    return bool(TOUCH.update(rows, address is not None, *after, due=now - conf.TOUCH_INTERVAL, **values))


def _touch(rows: Any, has_address: bool, *bounds: str) -> tuple[Any, dict[str, Any]]:
    fields = rows.model._meta.get_field
    changes = {"last_activity_at": Parameter("now", fields("last_activity_at"))}
    if has_address:
        changes["last_ip_address"] = Parameter("address", fields("last_ip_address"))
    due = Parameter("due", fields("last_activity_at"))
    same = Parameter("authenticated_at", fields("authenticated_at"))
    return one_active(rows, *bounds).filter(last_activity_at__lte=due, authenticated_at=same), changes


# Requests wait for this, so its SQL is written once.
TOUCH = Statement(_touch)
