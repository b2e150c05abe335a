"""The figures of the admin's overview, and their pictures' geometry.

What is read grows with the active sessions and with what happened in the past DAYS. From
COUNTED_AT_MOST active sessions on, their number is the planner's estimate, only users among the
newest sign-ins are ranked, and the days are left out: reading them would take minutes. All of it
is cached for CACHED seconds."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Case, CharField, Count, Q, Value, When
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from ..db.estimates import count_or_estimate
from ..lifetime import end_by_time
from ..models import RevokedReason, UserSession
from ..querysets import UserSessionQuerySet
from ..reasons import label
from ..templatetags.sessions_ext_admin import local

logger = logging.getLogger("sessions_ext")

DAYS = 30
CACHED = 60
NEWEST = 5000
COUNTED_AT_MOST = 1_000_000
ROWS = 10
EXPIRED, IDLE = "expired", "idle"

T = TypeVar("T")


class Clients(NamedTuple):
    """Of the newest sign-ins, how many came from which device and country."""

    devices: Counter[str]
    countries: Counter[str]


class Bar(NamedTuple):
    label: str
    number: int
    percent: float
    query: str


@dataclass
class Series:
    """A number for each day, oldest first, as a picture of WIDTH by HEIGHT units."""

    WIDTH = 600
    HEIGHT = 120

    name: str
    days: list[date]
    numbers: list[int]
    columns: list[tuple[date, int, float, float, float]] = field(init=False)

    def __post_init__(self) -> None:
        self.step = self.WIDTH / len(self.days)
        scale = self.HEIGHT / (max(self.numbers) or 1)
        self.columns = [
            (day, number, round(index * self.step, 2), round(self.HEIGHT - number * scale, 2), number * scale)
            for index, (day, number) in enumerate(zip(self.days, self.numbers, strict=True))
        ]

    @property
    def width(self) -> float:
        """The width of a column, which leaves a gap beside it."""
        return round(self.step * 0.8, 2)

    @property
    def outline(self) -> str:
        """The points of a line through the middles of the columns."""
        return " ".join(f"{x + self.width / 2:.2f},{y:.2f}" for _, _, x, y, _ in self.columns)

    @property
    def area(self) -> str:
        first, last = self.columns[0][2] + self.width / 2, self.columns[-1][2] + self.width / 2
        return f"{first:.2f},{self.HEIGHT} {self.outline} {last:.2f},{self.HEIGHT}"

    @property
    def most(self) -> int:
        return max(self.numbers)

    @property
    def total(self) -> int:
        return sum(self.numbers)


@dataclass
class Overview:
    at: datetime
    active: int
    is_estimate: bool
    activity: Series | None
    sign_ins: Series | None
    reasons: list[Bar]
    devices: list[Bar]
    countries: list[Bar]
    users: list[Bar]
    sampled: int


def overview(sessions: UserSessionQuerySet | None = None) -> Overview:
    """Everything the page shows of these sessions (default: of all), at most a minute old; at most 8
    statements."""
    return _cached("overview", _overview, _all(sessions))


def newest_clients(sessions: UserSessionQuerySet | None = None) -> Clients:
    """Devices and countries of the newest sign-ins among these sessions, at most a minute old; one
    statement."""
    return _cached("clients", _newest_clients, _all(sessions))


def _all(sessions: UserSessionQuerySet | None) -> UserSessionQuerySet:
    every: UserSessionQuerySet = UserSession.objects.all() if sessions is None else sessions
    return every.order_by()


def _cached(name: str, make: Callable[[UserSessionQuerySet], T], sessions: UserSessionQuerySet) -> T:
    # With what names and days depend on, and whose sessions these are: perhaps one tenant's.
    try:
        whose = hashlib.sha256(str(sessions.query).encode()).hexdigest()
    except EmptyResultSet:
        return make(sessions)
    key = f"sessions_ext.{name}.{get_language()}.{timezone.get_current_timezone_name()}.{whose}"
    # The operator looks here when something is broken, and that may be the cache.
    try:
        found: T | None = cache.get(key)
    except Exception as error:
        logger.warning(
            "the default cache failed (%s), reading the admin's figures from the database",
            type(error).__name__,
        )
        return make(sessions)
    if found is None:
        found = make(sessions)
        with suppress(Exception):
            cache.set(key, found, CACHED)
    return found


def _newest_clients(sessions: UserSessionQuerySet) -> Clients:
    rows = sessions.order_by("-pk").values_list("device_info", "location")[:NEWEST]
    devices, countries = Counter[str](), Counter[str]()
    for device, location in rows:
        devices[device] += 1
        countries[location.rpartition(", ")[2]] += 1
    return Clients(devices, countries)


def _overview(sessions: UserSessionQuerySet) -> Overview:
    now = timezone.now()
    clients = newest_clients(sessions)
    active, is_estimate = count_or_estimate(sessions.active(now), COUNTED_AT_MOST)
    activity, sign_ins, reasons = (None, None, []) if is_estimate else _history(sessions, now, active)
    return Overview(
        at=now,
        active=active,
        is_estimate=is_estimate,
        activity=activity,
        sign_ins=sign_ins,
        reasons=reasons,
        devices=_bars(clients.devices, lambda device: device or _("Unknown"), _query_of_device),
        countries=_bars(clients.countries, lambda country: country or _("Unknown")),
        users=_users(sessions, now, is_estimate),
        sampled=clients.devices.total(),
    )


def _history(sessions: UserSessionQuerySet, now: datetime, active: int) -> tuple[Series, Series, list[Bar]]:
    """Active sessions and sign-ins by day, and the reasons of the ends; three statements."""
    today = local(now).date()
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    since = now - timedelta(days=DAYS)
    started = Counter(dict(_per_day(sessions.signed_in_since(since), "created_at")))
    ended, reasons = Counter[date](), Counter[str]()
    for day, reason, number in (*_revoked(sessions, since), *_expired(sessions, since, now)):
        ended[day] += number
        reasons[reason] += number
    # Backwards from now: the sessions active when a day began are those active when it ended, minus
    # those that started that day, plus those that ended that day.
    standing = [active]
    for day in reversed(days[1:]):
        standing.append(max(standing[-1] - started[day] + ended[day], 0))
    return (
        Series(_("Active sessions"), days, standing[::-1]),
        Series(_("Sign-ins"), days, [started[day] for day in days]),
        _bars(reasons, _name_end, _query_of_end),
    )


def _revoked(sessions: UserSessionQuerySet, since: datetime) -> Iterable[Any]:
    known = (
        When(Q(revoked_reason=reason) | Q(revoked_reason__startswith=f"{reason}: "), Value(reason))
        for reason in RevokedReason.values
    )
    why = Case(*known, default=Value(""), output_field=CharField())
    return _per_day(sessions.revoked().filter(revoked_at__gte=since), "revoked_at", why=why)


def _expired(sessions: UserSessionQuerySet, since: datetime, now: datetime) -> Iterable[Any]:
    # Named as in the list's filter by state. The first condition is for the index.
    why = Case(When(expires_at__lte=now, then=Value(EXPIRED)), default=Value(IDLE))
    ended = sessions.filter(is_revoked=False, expires_at__gt=since).alias(end=end_by_time())
    return _per_day(ended.filter(end__gt=since, end__lte=now), "end", why=why)


def _per_day(sessions: UserSessionQuerySet, column: str, **by: Any) -> Iterable[Any]:
    rows = sessions.order_by().annotate(day=TruncDate(column), **by).values_list("day", *by)
    return rows.annotate(number=Count("pk"))


def _users(sessions: UserSessionQuerySet, now: datetime, is_estimate: bool) -> list[Bar]:
    active = sessions.active(now)
    if is_estimate:
        newest: Any = sessions.order_by("-pk")[:NEWEST].values_list("user_id", flat=True)
        if not connections[sessions.db].features.allow_sliced_subqueries_with_in:
            newest = set(newest)
        active = active.filter(user_id__in=newest)
    most = Counter(dict(active.values_list("user_id").annotate(n=Count("pk")).order_by("-n")[:ROWS]))
    names = get_user_model()._base_manager.in_bulk(list(most))
    return _bars(most, lambda pk: str(names.get(pk, pk)), lambda pk: _query(user=pk, state="active"))


def _bars(
    numbers: Counter[Any], name: Callable[[Any], str], query: Callable[[Any], str] = lambda key: ""
) -> list[Bar]:
    largest = numbers.most_common(ROWS)
    return [
        Bar(name(key), number, round(100 * number / largest[0][1], 1), query(key))
        for key, number in largest
        if number
    ]


def _name_end(reason: str) -> str:
    return {"": _("Other"), EXPIRED: _("Expired"), IDLE: _("Idle")}.get(reason) or label(reason)


def _query_of_device(device: str) -> str:
    return _query(device=device) if device else ""


def _query_of_end(reason: str) -> str:
    if reason in (EXPIRED, IDLE):
        return _query(state=reason)
    return _query(reason=reason) if reason else ""


def _query(**parameters: Any) -> str:
    return f"?{urlencode(parameters)}"
