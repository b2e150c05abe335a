import logging
import sys
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models, router
from django.db.models import F, Q, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from . import signals, verdict_cache
from .cleanup import is_deleted_plainly
from .conf import conf
from .db.expressions import AppendMissing
from .db.indexes import PartialIndex
from .db.mariadb import PRIMARY
from .db.prepared import delete
from .db.updates import update, update_returning
from .decorators import alters_data, twin
from .lifetime import is_active
from .limits import FIRST_OWN_ID
from .managers import UserSessionManager
from .querysets import UserSessionQuerySet, revoke_rows, trust_rows
from .reasons import EndedBy, RevokedReason, ended_by

logger = logging.getLogger("sessions_ext")

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils.compat import uuid7

__all__ = ["EndedBy", "RevokedReason", "UserSession"]


REVOCATION = ("is_revoked", "revoked_at", "revoked_reason")


def new_id() -> UUID:
    """A UUID version 7 (RFC 9562, 5.7), so that rows lie in the table in login order."""
    return uuid7()


def adopted_id(digest: bytes) -> UUID:
    """The id of an adopted login. It has 48 zero bits in place of the time, so that it sorts before all
    others, and then bits of the digest."""
    digits = int.from_bytes(digest[:10], "big")
    return UUID(int=(digits & ~(0xF000 << 64) & ~(0xC000 << 48)) | (0x7000 << 64) | (0x8000 << 48))


class UserSession(models.Model):
    """One login: a browser's cookie or an API's token pair. The id is public and opens
    nothing; the table holds no session key and no token."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="user_sessions",
        db_index=False,
        verbose_name=_("user"),
    )
    device_info = models.CharField(_("device"), max_length=255, blank=True, default="")
    user_agent = models.TextField(_("user agent"), blank=True, default="")
    ip_address = models.GenericIPAddressField(_("IP address at sign-in"), null=True, blank=True)
    location = models.CharField(_("location"), max_length=255, blank=True, default="")
    created_at = models.DateTimeField(_("signed in"), default=timezone.now)
    # Never indexed: a touch must stay a heap-only update in PostgreSQL.
    last_activity_at = models.DateTimeField(_("last active"), default=timezone.now)
    # When the person last proved who they are in this session.
    authenticated_at = models.DateTimeField(_("authenticated"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"))
    is_revoked = models.BooleanField(_("revoked"), default=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    revoked_reason = models.CharField(_("reason"), max_length=255, blank=True, default="")
    # When the owner said "This wasn't me", which they may say of an ended session, too.
    disowned_at = models.DateTimeField(_("disowned"), null=True, blank=True)
    is_trusted = models.BooleanField(_("trusted"), default=False)
    # Who acts as the user in this session, if not the user.
    impersonator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="impersonated_sessions",
        null=True,
        blank=True,
        db_index=False,
        verbose_name=_("impersonator"),
    )
    refresh_token_id = models.UUIDField(null=True, blank=True, unique=True, editable=False)
    previous_refresh_token_id = models.UUIDField(null=True, blank=True, editable=False)
    refreshed_at = models.DateTimeField(_("refreshed"), null=True, blank=True)
    last_ip_address = models.GenericIPAddressField(_("latest IP address"), null=True, blank=True)
    # Since when the session has been in the network of the latest address; None if since the sign-in.
    last_ip_since = models.DateTimeField(null=True, blank=True, editable=False)
    suspicious_activity_count = models.PositiveIntegerField(_("times flagged"), default=0)
    last_provider_accessed = models.CharField(_("latest provider"), max_length=100, blank=True, default="")
    last_provider_sync_at = models.DateTimeField(_("provider accessed"), null=True, blank=True)
    providers_accessed = models.JSONField(_("providers"), default=list, blank=True)
    # Finds the row together with the session's data: see payloads. It is no secret, and nothing believes it.
    payload_hint = models.UUIDField(null=True, blank=True, editable=False)

    objects = UserSessionManager()
    # Whether who asks by this session carries its latest proof. A copy of a cookie or a token that is older
    # than the person's latest confirmation is valid and does not: see authentication.verify().
    carries_latest_proof = True

    class Meta:
        verbose_name = _("user session")
        verbose_name_plural = _("user sessions")
        permissions = [("revoke_usersession", _("Can revoke user session"))]
        constraints = [
            models.CheckConstraint(
                name="sessions_ext_revoked_whole",
                condition=Q(is_revoked=True, revoked_at__isnull=False)
                | Q(is_revoked=False, revoked_at__isnull=True, revoked_reason=""),
            ),
        ]
        indexes = [
            # counting active sessions, the oldest one, the limit: these name their user. The condition
            # on the user keeps other queries away. With outdated statistics ("all rows are revoked"),
            # each batch of a cleanup would read this whole index.
            PartialIndex(
                name="sessions_ext_active",
                fields=["user", "created_at", "id"],
                where=Q(is_revoked=False, user__isnull=False),
                otherwise=["is_revoked", "user", "created_at", "id"],
            ),
            # a user's sessions, newest first; the cascade from a deleted user
            models.Index(name="sessions_ext_newest", fields=["user", "-created_at", "-id"]),
            # cleanup of expired rows and of revoked ones. The id makes each place on the index unique.
            PartialIndex(
                name="sessions_ext_expiry",
                fields=["expires_at", "id"],
                where=Q(is_revoked=False),
                otherwise=["is_revoked", "expires_at", "id"],
            ),
            PartialIndex(
                name="sessions_ext_revoked",
                fields=["revoked_at", "id"],
                where=Q(is_revoked=True),
                otherwise=["is_revoked", "revoked_at", "id"],
            ),
            # an impersonator's sessions; the cascade from a deleted one
            PartialIndex(
                name="sessions_ext_impersonator",
                fields=["impersonator", "id"],
                where=Q(impersonator__isnull=False),
            ),
            # the row of the session data that a request loads
            PartialIndex(
                name="sessions_ext_payload",
                fields=["payload_hint"],
                where=Q(payload_hint__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        moment = self.created_at
        local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
        return f"{self.device_info or _('Unknown device')}, {local:%Y-%m-%d %H:%M}"

    @alters_data
    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """Django's own delete(). It also ends the cached verdict about this row."""
        alias = using or self._written_to
        key: Any = self.pk
        rows = self.as_row.using(alias)
        if key is not None and is_deleted_plainly(rows):
            count = delete(rows, PRIMARY).change(alias, {})
            deleted = count, {self._meta.label: count}
            self.pk = None
        else:
            deleted = super().delete(using, keep_parents)
        verdict_cache.invalidate({self.user_id}, alias)
        return deleted

    def refresh_from_db(self, using: Any = None, fields: Any = None, from_queryset: Any = None) -> None:
        """Django's own refresh_from_db(), naming the owner as well. See as_row."""
        if from_queryset is None:
            from_queryset = UserSession._base_manager.db_manager(using, hints={"instance": self})
        owner = {name: vars(self)[name] for name in ("user_id",) if name in vars(self)}
        super().refresh_from_db(using, fields, from_queryset.filter(**owner))

    @property
    def is_active(self) -> bool:
        """Whether this row, as it was loaded, is active. The queryset's active() has the same rule."""
        return is_active(self, timezone.now())

    def is_fresh(self, within: timedelta | None = None) -> bool:
        """Whether the person proved who they are in this session less than `within` ago (default
        REAUTHENTICATE_AFTER; where that is None, nobody is asked). A login and a confirmation prove it; a
        refresh and activity do not. Never true of a session that somebody else acts in, or of an adopted
        login before its first confirmation. No query."""
        if self.impersonator_id or not self.is_active:
            return False
        within = conf.REAUTHENTICATE_AFTER if within is None else within
        if within is None:
            return True
        is_proven = self.carries_latest_proof and (
            not self.is_adopted or self.authenticated_at >= self.created_at
        )
        return is_proven and timezone.now() < self.authenticated_at + within

    @property
    def ended_at(self) -> datetime | None:
        """When this session was revoked, expired or idled out; None while it is active."""
        if self.is_active:
            return None
        idle_end = self.last_activity_at + conf.IDLE_TIMEOUT if conf.IDLE_TIMEOUT else self.expires_at
        return self.revoked_at or min(self.expires_at, idle_end)

    @property
    def ended_by(self) -> EndedBy | None:
        """Who revoked this session; None if nobody did."""
        return ended_by(self.revoked_reason) if self.is_revoked else None

    @property
    def is_adopted(self) -> bool:
        """Whether the login is older than the installation of this app. It began by other rules, often at
        a time that nobody knows, so it is first in line for the limit."""
        return self.pk < FIRST_OWN_ID

    @property
    def is_impersonated(self) -> bool:
        """Whether somebody else acts as the user in this session."""
        return self.impersonator_id is not None

    @property
    def as_row(self) -> UserSessionQuerySet:
        """A queryset of this row alone, in the database that it is written to. It names the owner as
        well: on a table that is distributed by user, a statement then runs on one shard."""
        rows: UserSessionQuerySet = UserSession.objects.using(self._written_to)
        return rows.for_user(self.user_id).filter(pk=self.pk)

    @alters_data
    def revoke(self, reason: str) -> bool:
        """End this session, and return whether this call ended it: False if it was revoked before. It then
        keeps its first reason, which is loaded into this object. See UserSessionQuerySet.revoke()."""
        at = timezone.now()
        is_ended = bool(revoke_rows(self.as_row, reason, at))
        end = (True, at, reason) if is_ended else self.as_row.revoked().values_list(*REVOCATION).first()
        for name, value in zip(REVOCATION, end or (), strict=False):
            setattr(self, name, value)
        return is_ended

    @alters_data
    def disown(self) -> bool:
        """Record that the owner said "This wasn't me", and end the session if it is active (`not_me`).
        Returns whether this call recorded it: of an ended session as well, but once. Up to two statements."""
        if self.is_active:
            self.revoke(RevokedReason.NOT_ME)
        at = timezone.now()
        is_recorded = bool(update(self.as_row.filter(disowned_at=None), disowned_at=at))
        if is_recorded:
            self.disowned_at = at
        return is_recorded

    @alters_data
    def trust(self) -> bool:
        """Mark this device as trusted if the session is active and the user's own, and return whether
        it is."""
        return self._set_trust(True)

    @alters_data
    def untrust(self) -> bool:
        """Mark this device as not trusted if the session is active, and return whether it is."""
        return self._set_trust(False)

    @alters_data
    def record_provider_access(self, name: str) -> list[str]:
        """Record that this session reached an external service, and return the names of all that it
        reached. One statement: concurrent calls lose no name. Raises ValueError for a name
        that is empty, over 100 characters or not printable, DoesNotExist for a deleted row."""
        if not 0 < len(name) <= 100 or not name.isprintable():
            raise ValueError("A provider's name must have 1 to 100 printable characters.")
        self._update(
            last_provider_accessed=name,
            last_provider_sync_at=timezone.now(),
            providers_accessed=AppendMissing("providers_accessed", Value(name)),
        )
        return list(self.providers_accessed)

    @alters_data
    def flag_suspicious(self, kind: str, /, **details: Any) -> int:
        """Count something suspicious about this session, and return the new count. One statement, so N
        concurrent calls add N. At SUSPICION_THRESHOLD one more revokes the session. Sends
        session_flagged. Raises DoesNotExist for a deleted row."""
        self._update(suspicious_activity_count=F("suspicious_activity_count") + 1)
        count = self.suspicious_activity_count
        logger.warning("session %s of user %s flagged: %s (%d)", self.pk, self.user_id, kind, count)
        signals.send_after_commit(
            signals.session_flagged,
            UserSession,
            self._written_to,
            session=self,
            kind=kind,
            details=details,
            count=count,
        )
        if conf.SUSPICION_THRESHOLD is not None and count >= conf.SUSPICION_THRESHOLD:
            self.revoke(RevokedReason.SUSPICIOUS)
        return count

    adelete = twin(delete)  # type: ignore[arg-type]
    arefresh_from_db = twin(refresh_from_db)
    arevoke = twin(revoke)
    adisown = twin(disown)
    atrust = twin(trust)
    auntrust = twin(untrust)
    arecord_provider_access = twin(record_provider_access)
    aflag_suspicious = twin(flag_suspicious)

    def _do_update(self, base_qs: Any, using: Any, pk_val: Any, values: Any, *args: Any) -> Any:
        # save() names the owner as well. See as_row. Nothing writes the owner: a session keeps its user.
        written = [value for value in values if value[0].attname != "user_id"]
        return super()._do_update(base_qs.filter(user_id=self.user_id), using, pk_val, written, *args)

    @property
    def _written_to(self) -> str:
        # The row may have been read from a replica.
        return router.db_for_write(UserSession, instance=self)

    def _set_trust(self, is_trusted: bool) -> bool:
        is_changed = bool(trust_rows(self.as_row, is_trusted))
        if is_changed:
            self.is_trusted = is_trusted
        return is_changed

    def _update(self, **values: Any) -> None:
        """Write `values`, and load what the database stored into this object."""
        rows = update_returning(self.as_row, *values, **values)
        if not rows:
            raise UserSession.DoesNotExist("The session was deleted.")
        for name, value in zip(values, rows[0], strict=True):
            setattr(self, name, value)
        verdict_cache.invalidate({self.user_id}, self._written_to)
