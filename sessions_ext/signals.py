"""Each is sent after the transaction commits and with send_robust(): a receiver
that fails is logged by Django and breaks nothing. The sender is UserSession."""

from functools import partial
from typing import Any

from django.db import transaction
from django.dispatch import Signal

__all__ = [
    "refresh_token_used",
    "session_client_changed",
    "session_flagged",
    "session_limit_reached",
    "session_revoked",
    "session_started",
    "sessions_cleaned",
]

# A login got its row. Sends: session, request (or None).
session_started = Signal()

# Rows were revoked, one signal for the whole statement.
# Sends: session_ids (list), user_ids (set), reason.
session_revoked = Signal()

# A login met MAX_SESSIONS. Sends: user, limit, policy (the ON_LIMIT in force),
# session_ids (what was revoked to make room; empty when the login was denied).
session_limit_reached = Signal()

# Something about a session looked wrong.
# Sends: session, kind, details (dict), count (how often so far).
session_flagged = Signal()

# A session was seen at a new address; noticed once per TOUCH_INTERVAL at most.
# Sends: session, request, previous_ip_address, ip_address.
session_client_changed = Signal()

# Somebody presented a refresh token. Sends: outcome, which is "rotated", "repeated" (within
# REFRESH_GRACE), "replayed" (the session ended) or "refused".
refresh_token_used = Signal()

# A cleanup ended. Sends: expired, revoked and payloads (how many rows it deleted), is_complete
# (False if a bound stopped it with work left), seconds (that it took).
sessions_cleaned = Signal()

# For this app alone: the CACHE was asked about a login, at once. Sends: is_hit.
verdict_asked = Signal()

# For this app alone: rows were revoked, and the transaction may still undo it. Sends: session_ids.
rows_revoked = Signal()


def send_after_commit(signal: Signal, sender: Any, using: str, **kwargs: Any) -> None:
    """Send a signal once the transaction that is open on a database commits; at once without one."""
    transaction.on_commit(partial(signal.send_robust, sender, **kwargs), using=using)
