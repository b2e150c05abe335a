"""Who lives in the demo, and where they have logged in during the past ninety days."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User

from sessions_ext.clients import describe_device
from sessions_ext.models import RevokedReason, UserSession
from sessions_ext.testing import UserSessionFactory

MAC, WINDOWS = "Macintosh; Intel Mac OS X 10_15_7", "Windows NT 10.0; Win64; x64"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
IOS_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"

CHROME_MAC = f"Mozilla/5.0 ({MAC}) {WEBKIT} Chrome/142.0.0.0 Safari/537.36"
SAFARI_MAC = f"Mozilla/5.0 ({MAC}) {IOS_WEBKIT} Version/26.1 Safari/605.1.15"
CHROME_WINDOWS = f"Mozilla/5.0 ({WINDOWS}) {WEBKIT} Chrome/142.0.0.0 Safari/537.36"
EDGE_WINDOWS = f"{CHROME_WINDOWS} Edg/142.0.0.0"
FIREFOX_WINDOWS = f"Mozilla/5.0 ({WINDOWS}; rv:145.0) Gecko/20100101 Firefox/145.0"
FIREFOX_LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
IPHONE_OS, IPAD_OS = "iPhone; CPU iPhone OS 18_6 like Mac OS X", "iPad; CPU OS 17_7 like Mac OS X"
IPHONE = f"Mozilla/5.0 ({IPHONE_OS}) {IOS_WEBKIT} Version/26.1 Mobile/15E148 Safari/604.1"
IPAD = f"Mozilla/5.0 ({IPAD_OS}) {IOS_WEBKIT} Version/17.7 Mobile/15E148 Safari/604.1"
ANDROID = f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36"
GALAXY_TAB = (
    f"Mozilla/5.0 (Linux; Android 14; SM-X710) {WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Safari/537.36"
)
CURL = "curl/8.14.1"
BOTS = (
    CURL,
    "python-requests/2.32.5",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/142.0.0.0 Safari/537.36",
)

# The networks that are kept for documentation (RFC 5737, RFC 3849).
NETWORKS = {
    "London, GB": "192.0.2.{}",
    "New York, US": "198.51.100.{}",
    "Helsinki, FI": "203.0.113.{}",
    "Berlin, DE": "2001:db8:49::{:x}",
    "Singapore, SG": "2001:db8:65::{:x}",
}
PROVIDERS = ("github", "google_calendar", "dropbox", "slack")
REASONS = {
    RevokedReason.LOGOUT: 60,
    RevokedReason.USER: 12,
    RevokedReason.LIMIT: 10,
    RevokedReason.PASSWORD_CHANGE: 6,
    RevokedReason.ADMIN: 4,
    RevokedReason.USER_DISABLED: 1,
}
COOKIE_AGE = timedelta(seconds=settings.SESSION_COOKIE_AGE)


@dataclass(frozen=True)
class Person:
    username: str
    password: str
    role: str
    home: str
    devices: tuple[str, ...]

    @property
    def email(self) -> str:
        return f"{self.username}@example.com"

    @property
    def is_admin(self) -> bool:
        return self.role == "administrator"


PEOPLE = (
    Person("admin", "admin-demo", "administrator", "Berlin, DE", (FIREFOX_LINUX, ANDROID)),
    Person("ada", "ada-demo", "analyst", "London, GB", (CHROME_MAC, IPHONE, IPAD)),
    Person("grace", "grace-demo", "engineer", "New York, US", (EDGE_WINDOWS, SAFARI_MAC, GALAXY_TAB)),
    Person("linus", "linus-demo", "developer", "Helsinki, FI", (FIREFOX_WINDOWS, ANDROID, CURL)),
)


def past_logins(person: Person, user: User, now: datetime) -> list[UserSession]:
    """Some ninety logins, oldest first, the same at every call but for `now`: two are active,
    which leaves room below MAX_SESSIONS, and the others have ended."""
    rng = Random(person.username)
    rows = [_active(rng, person, now, device) for device in person.devices[:2]]
    rows += [_suspicious(rng, person, now) for _ in range(rng.randint(3, 6))]
    rows += [_ended(rng, person, now) for _ in range(rng.randint(70, 95))]
    for row in rows:
        row.user = user
    return sorted(rows, key=lambda row: row.created_at)


def _active(rng: Random, person: Person, now: datetime, device: str) -> UserSession:
    created_at = now - timedelta(days=rng.uniform(1, 6))
    seen = now - timedelta(hours=rng.uniform(0.5, 9))
    return _login(rng, device, person.home, created_at, seen, is_trusted=device == person.devices[0])


def _suspicious(rng: Random, person: Person, now: datetime) -> UserSession:
    created_at = now - timedelta(days=rng.uniform(1, 90))
    ended_at = created_at + timedelta(minutes=rng.uniform(1, 50))
    elsewhere = rng.choice([place for place in NETWORKS if place != person.home])
    return _login(
        rng,
        rng.choice(BOTS),
        elsewhere,
        created_at,
        ended_at,
        suspicious_activity_count=rng.randint(1, 4),
        **_revoked(ended_at, rng.choice([RevokedReason.SUSPICIOUS, RevokedReason.REFRESH_REUSE])),
    )


def _ended(rng: Random, person: Person, now: datetime) -> UserSession:
    created_at = now - timedelta(days=rng.uniform(1, 90))
    ended_at = created_at + rng.random() * min(COOKIE_AGE, now - created_at)
    is_expired = created_at + COOKIE_AGE < now and rng.random() < 0.35
    (reason,) = rng.choices(list(REASONS), list(REASONS.values()))
    device = rng.choice(person.devices)
    return _login(
        rng,
        device,
        person.home if rng.random() < 0.85 else rng.choice(list(NETWORKS)),
        created_at,
        ended_at,
        is_trusted=device == person.devices[0] and rng.random() < 0.5,
        **({} if is_expired else _revoked(ended_at, reason)),
    )


def _revoked(at: datetime, reason: RevokedReason) -> dict[str, Any]:
    return {"is_revoked": True, "revoked_at": at, "revoked_reason": reason}


def _login(
    rng: Random, user_agent: str, place: str, created_at: datetime, seen: datetime, **fields: Any
) -> UserSession:
    providers = rng.sample(PROVIDERS, rng.choice([0, 0, 0, 1, 2]))
    if providers:
        fields["providers_accessed"] = providers
        fields["last_provider_accessed"] = providers[-1]
        fields["last_provider_sync_at"] = created_at + rng.random() * (seen - created_at)
    session: UserSession = UserSessionFactory.build(
        id=UUID(int=int(created_at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | rng.getrandbits(62)),
        user=None,
        user_agent=user_agent,
        device_info=describe_device(user_agent),
        ip_address=NETWORKS[place].format(rng.randint(2, 254)),
        location=place,
        created_at=created_at,
        last_activity_at=seen,
        expires_at=created_at + COOKIE_AGE,
        **fields,
    )
    return session
