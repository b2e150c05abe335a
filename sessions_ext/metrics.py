"""Figures for Prometheus (the extra `prometheus`). To import this module is all, once in each process, such
as in the ready() of an AppConfig. Labels have few values, which are all listed here: never a user, an address
or free text."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from django.db import Error
from django.dispatch import Signal
from django.utils import timezone
from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from . import signals
from .db.estimates import count_or_estimate
from .models import UserSession
from .reasons import RevokedReason

logger = logging.getLogger("sessions_ext")

COUNTED_AT_MOST = 100_000  # active sessions; their number is an estimate beyond it
OTHER = "other"  # a reason that is the project's own

STARTED = Counter("sessions_ext_started", "Logins that got a row.")
REVOKED = Counter("sessions_ext_revoked", "Sessions that were revoked.", ["reason"])
LIMITED = Counter("sessions_ext_limit_reached", "Logins that met MAX_SESSIONS.", ["outcome"])
FLAGGED = Counter("sessions_ext_flagged", "Times that a session was flagged as suspicious.")
REFRESHES = Counter("sessions_ext_refreshes", "Uses of refresh tokens.", ["outcome"])
VERDICTS = Counter("sessions_ext_verdicts", "Logins that the CACHE was asked about.", ["outcome"])
CLEANED = Counter("sessions_ext_cleaned_rows", "Rows that cleanups have deleted.", ["kind"])
CLEANING = Counter("sessions_ext_cleanup_seconds", "Time that cleanups have taken.")
CLEANED_AT = Gauge(
    "sessions_ext_cleanup_last_success_timestamp_seconds",
    "When a cleanup last finished.",
    multiprocess_mode="max",
)
LABELS: dict[Counter, tuple[str, ...]] = {
    REVOKED: (*RevokedReason.values, OTHER),
    LIMITED: ("evicted", "denied"),
    REFRESHES: ("rotated", "repeated", "replayed", "refused"),
    VERDICTS: ("hit", "miss"),
    CLEANED: ("expired", "revoked", "payloads"),
}


class ActiveSessions(Collector):
    """The number of active sessions, read when it is asked for. One query that counts COUNTED_AT_MOST rows at
    most; with more, another one for the planner's estimate. Nothing where the database does not answer."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            active, _ = count_or_estimate(UserSession.objects.active(), COUNTED_AT_MOST)
        except Error:
            logger.warning("could not count the active sessions for a scrape", exc_info=True)
            return
        yield _family(active)

    def describe(self) -> list[GaugeMetricFamily]:
        """What it is, without a query, for the registry."""
        return [_family()]


def _family(value: float | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily("sessions_ext_active", "Sessions that are active now.", value=value)


def _started(**kwargs: Any) -> None:
    STARTED.inc()


def _revoked(session_ids: list[Any], reason: str, **kwargs: Any) -> None:
    known = reason.partition(": ")[0]
    REVOKED.labels(known if known in RevokedReason.values else OTHER).inc(len(session_ids))


def _limited(session_ids: list[Any], **kwargs: Any) -> None:
    LIMITED.labels("evicted" if session_ids else "denied").inc()


def _flagged(**kwargs: Any) -> None:
    FLAGGED.inc()


def _refreshed(outcome: str, **kwargs: Any) -> None:
    REFRESHES.labels(outcome).inc()


def _asked(is_hit: bool, **kwargs: Any) -> None:
    VERDICTS.labels("hit" if is_hit else "miss").inc()


def _cleaned(seconds: float, is_complete: bool, **kwargs: Any) -> None:
    for kind in LABELS[CLEANED]:
        CLEANED.labels(kind).inc(kwargs[kind])
    CLEANING.inc(seconds)
    if is_complete:
        CLEANED_AT.set(timezone.now().timestamp())


# Zeros are there from the beginning, so that the first time is seen as well.
for counter, values in LABELS.items():
    for value in values:
        counter.labels(value)
REGISTRY.register(ActiveSessions())
RECEIVERS: dict[Signal, Callable[..., None]] = {
    signals.session_started: _started,
    signals.session_revoked: _revoked,
    signals.session_limit_reached: _limited,
    signals.session_flagged: _flagged,
    signals.refresh_token_used: _refreshed,
    signals.verdict_asked: _asked,
    signals.sessions_cleaned: _cleaned,
}
for signal, receiver in RECEIVERS.items():
    signal.connect(receiver)
