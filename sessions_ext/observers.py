"""Observers look for what is suspicious about a session. Each is a callable(session, sighting) that
OBSERVERS lists. It calls `session.flag_suspicious(kind, **details)` when it finds something."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from math import asin, cos, radians, sin, sqrt
from typing import TYPE_CHECKING, Any

from django.db import connections, router, transaction
from django.http import HttpRequest
from django.utils.module_loading import import_string

from . import clients
from .conf import conf

if TYPE_CHECKING:
    from .models import UserSession

__all__ = ["Sighting", "device_changed", "impossible_travel", "network_changed", "refresh_replayed"]

logger = logging.getLogger("sessions_ext")

EARTH_RADIUS = 6371.0  # km
PLANE = 1000.0  # km/h
NEARBY = 100.0  # km; a database of addresses may be wrong by as much


@dataclass(frozen=True)
class Sighting:
    """What an observer is shown: a request of a session, and when and where the session was seen
    before. `is_replay` says that the request brought a refresh token which was used before. That has
    ended the session."""

    request: HttpRequest | None
    at: datetime
    ip_address: str | None
    previous_at: datetime
    previous_ip_address: str | None
    is_replay: bool = False


def observe(session: "UserSession", sighting: Sighting) -> None:
    """Show a sighting to the OBSERVERS. One that fails is logged, and breaks nothing."""
    for path in conf.OBSERVERS:
        try:
            observer: Callable[[UserSession, Sighting], object] = import_string(path)
            with _apart(session) if sighting.is_replay else nullcontext():
                observer(session, sighting)
        except Exception:
            logger.warning("observer %s failed, continuing without it", path, exc_info=True)


def _apart(session: "UserSession") -> AbstractContextManager[Any]:
    """A savepoint where a transaction is open: an observer's failed query must not undo the revoke. A
    touch needs none: it comes after the request's transaction."""
    using = router.db_for_write(type(session), instance=session)
    return transaction.atomic(using=using) if connections[using].in_atomic_block else nullcontext()


def refresh_replayed(session: "UserSession", sighting: Sighting) -> None:
    """A refresh token was used twice: somebody has a copy of it."""
    if sighting.is_replay:
        session.flag_suspicious("refresh_replayed", ip_address=sighting.ip_address)


def network_changed(session: "UserSession", sighting: Sighting) -> None:
    """From one request to the next, the session is in another network (IPv4 /24, IPv6 /64)."""
    networks = {clients.network(ip) for ip in (sighting.previous_ip_address, sighting.ip_address) if ip}
    if len(networks) > 1:
        session.flag_suspicious(
            "network_changed", previous=sighting.previous_ip_address, ip_address=sighting.ip_address
        )


def device_changed(session: "UserSession", sighting: Sighting) -> None:
    """The session is used by another kind of device than the one that signed in."""
    # Name both now: the row's name may come from an older ua-parser.
    previous, device = clients.device(session.user_agent), clients.client_device(sighting.request)
    if sighting.request and previous and device != previous:
        session.flag_suspicious("device_changed", previous=previous, device_info=device)


def impossible_travel(session: "UserSession", sighting: Sighting) -> None:
    """The session moved faster than a plane. Needs the coordinates of GEOIP_PATH."""
    here, there = sighting.ip_address, sighting.previous_ip_address
    if not here or not there or here == there:
        return
    start, end = clients.coordinates(there), clients.coordinates(here)
    if not start or not end:
        return
    distance = kilometres(start, end)
    hours = (sighting.at - sighting.previous_at).total_seconds() / 3600
    if distance > NEARBY and distance > PLANE * hours:
        session.flag_suspicious(
            "impossible_travel", previous=there, ip_address=here, kilometres=round(distance)
        )


def kilometres(start: tuple[float, float], end: tuple[float, float]) -> float:
    """The distance between two places, given by latitude and longitude, as a plane flies."""
    latitude, longitude, other_latitude, other_longitude = map(radians, (*start, *end))
    half = sin((other_latitude - latitude) / 2) ** 2
    half += cos(latitude) * cos(other_latitude) * sin((other_longitude - longitude) / 2) ** 2
    return 2 * EARTH_RADIUS * asin(sqrt(min(half, 1.0)))
