"""Log records of what happens, for whoever keeps logs: logger "sessions_ext.events", level INFO. Each record
has a stable `event`, which is the signal's name, and public ids; never an address, a token or a session
key."""

import logging
from collections.abc import Callable
from typing import Any

from django.dispatch import Signal

from . import signals

logger = logging.getLogger("sessions_ext.events")

Sent = dict[str, Any]


def _of_session(sent: Sent) -> Sent:
    return {"session_id": str(sent["session"].pk), "user_id": str(sent["session"].user_id)}


def _revoked(sent: Sent) -> Sent:
    return {**_ids(sent), "user_ids": [*map(str, sent["user_ids"])], "reason": str(sent["reason"])}


def _ids(sent: Sent) -> Sent:
    return {"session_ids": [*map(str, sent["session_ids"])]}


def _chosen(*names: str) -> Callable[[Sent], Sent]:
    return lambda sent: {name: sent[name] for name in names}


# What a record says of each signal. The name is the one that the signals' page has.
FIELDS: dict[str, Callable[[Sent], Sent]] = {
    "session_started": _of_session,
    "session_revoked": _revoked,
    "session_limit_reached": lambda sent: {
        **_ids(sent),
        "user_id": str(sent["user"].pk),
        "limit": sent["limit"],
        "policy": sent["policy"],
    },
    "session_flagged": lambda sent: {**_of_session(sent), "kind": sent["kind"], "count": sent["count"]},
    "session_client_changed": _of_session,
    "refresh_token_used": _chosen("outcome"),
    "sessions_cleaned": _chosen("expired", "revoked", "payloads", "is_complete", "seconds"),
}


def connect() -> None:
    for event in FIELDS:
        signal: Signal = getattr(signals, event)
        signal.connect(_receiver(event), weak=False, dispatch_uid=f"sessions_ext.events.{event}")


def _receiver(event: str) -> Callable[..., None]:
    def record(**sent: Any) -> None:
        if logger.isEnabledFor(logging.INFO):
            fields = FIELDS[event](sent)
            told = " ".join(f"{name}={value!r}" for name, value in fields.items())
            logger.info("%s %s", event, told, extra={"event": event, **fields})

    return record
