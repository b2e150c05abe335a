"""Verdicts: sessions that were verified. The CACHE remembers them for VERDICT_TTL, which saves the query.

A verdict names the version of its user, a random text that is cached beside it. Whatever ends a session or
changes its user sets a new version, after the commit. That ends every verdict that was set before, and
every one that is set late by somebody who read the old row. If the cache evicts the version, that ends the
verdicts as well. While the cache does not answer, the database does; and what was cached before such an
outage is not believed after it, because the news of an end may have been lost.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from django.core.cache import BaseCache
from django.db import connections, transaction

from .conf import conf
from .outages import CHUNK, new_version, watched

if TYPE_CHECKING:
    from .models import UserSession

T = TypeVar("T")

# Read from the table when they are needed: they are secret, they change, or they serve the table alone.
LEFT_OUT = {"password", "refresh_token_id", "previous_refresh_token_id", "refreshed_at", "payload_hint"}
CLOSED = "closed"
CACHED_VALUES = "_sessions_ext_cached_values"
MARGIN = 60  # seconds that a version outlives every verdict that names it


class Verdict(NamedTuple):
    """A session as it was verified, with its user joined. `hashes` are the session auth hashes that
    were valid for the user then. They are made from the password, which the cache does not have."""

    session: "UserSession"
    hashes: list[str]


def get(model: Any, using: str, user_id: Any, session_id: Any) -> tuple[Verdict | None, str | None]:
    """The verdict about a session, or None; and the version under which to set() one that is read from
    the database now. One call to the cache."""
    verdict_key, version_key = _verdict_key(using, user_id, session_id), _version_key(user_id)

    def ask(cache: BaseCache) -> tuple[Verdict | None, str | None]:
        found = cache.get_many([verdict_key, version_key])
        version = found.get(version_key)
        if version == CLOSED:
            return None, None
        if version is None:
            version = new_version()
            is_ours = cache.add(version_key, version, _version_ttl())
            return None, version if is_ours else None
        verdict = found.get(verdict_key)
        if verdict is None or verdict["version"] != version or verdict["at"] < _trusted_since():
            return None, version
        return _read(model, using, verdict), version

    return _asking(ask) or (None, None)


def set(session: "UserSession", hashes: list[str], version: str) -> None:  # noqa: A001
    """Remember a session, which was just read from the database, for VERDICT_TTL."""
    using = session._state.db or ""
    if connections[using].in_atomic_block:
        return  # what was read may be older than the version, or never be committed
    verdict = {
        "version": version,
        "at": time.time(),
        "session": _values(session),
        "user": _values(session.user),
        "hashes": hashes,
    }
    key = _verdict_key(using, session.user_id, session.pk)
    _asking(lambda cache: cache.set(key, verdict, conf.VERDICT_TTL.total_seconds()))


def delete(session: "UserSession") -> None:
    """Forget the verdict about this session, because something about it has changed."""
    key = _verdict_key(session._state.db or "", session.user_id, session.pk)
    _asking(lambda cache: cache.delete(key))


def refresh_unchanged(user: Any, using: str, update_fields: Iterable[str] | None) -> None:
    """Before a user from the cache is saved, refresh what the code did not change, so that the save
    writes no outdated value back. One query. What the caller names is written as it is."""
    kept = vars(user).get("_prefetched_objects_cache", {})
    if not (cached := kept.pop(CACHED_VALUES, None)):
        return
    if update_fields is not None:
        named = {user._meta.get_field(name).attname for name in update_fields}
        loaded = {field.attname for field in user._meta.concrete_fields if not field.primary_key}
        if not loaded & vars(user).keys() <= named:  # else Django named them: not all is loaded
            kept[CACHED_VALUES] = {name: each for name, each in cached.items() if name not in named}
            return
    if using != user._state.db:
        return
    stored = type(user)._base_manager.using(using).filter(pk=user.pk).values(*cached).first() or {}
    for name, value in stored.items():
        if getattr(user, name) == cached[name]:
            setattr(user, name, value)


def invalidate(user_ids: Iterable[Any], using: str, *, waits: bool = True) -> None:
    """End the verdicts about these users' sessions. In a transaction, no verdict is set from now until
    the commit. If the news of the commit is lost with this process, none is set until the version expires.
    With `waits=False`, for a transaction that others wait for, the cache is not called before the
    commit."""
    keys = [_version_key(user_id) for user_id in user_ids]
    if not (conf.CACHE and keys):
        return
    tell = partial(watched(conf.CACHE).tell, keys, _version_ttl())
    if not connections[using].in_atomic_block:
        tell()
        return
    for start in range(0, len(keys) if waits else 0, CHUNK):
        closed = dict.fromkeys(keys[start : start + CHUNK], CLOSED)
        _asking(partial(_set_many, closed))
    transaction.on_commit(tell, using=using)


def _set_many(versions: dict[str, str], cache: BaseCache) -> list[Any]:
    return cache.set_many(versions, _version_ttl())


def _asking(ask: Callable[[BaseCache], T]) -> T | None:
    """What the cache answers; None without a CACHE, or where it fails."""
    return watched(conf.CACHE).ask(ask) if conf.CACHE else None


def _trusted_since() -> float:
    return watched(conf.CACHE or "").back_at


def _read(model: Any, using: str, verdict: dict[str, Any]) -> Verdict:
    user_field = model._meta.get_field("user")
    session: UserSession = _instance(model, using, verdict["session"])
    user = _instance(user_field.related_model, using, verdict["user"])
    # Kept in the place that refresh_from_db() clears.
    user._prefetched_objects_cache = {CACHED_VALUES: deepcopy(verdict["user"])}
    user_field.set_cached_value(session, user)
    return Verdict(session, verdict["hashes"])


def _instance(model: Any, using: str, values: dict[str, Any]) -> Any:
    names = [name for name in _names(model) if name in values]
    return model.from_db(using, names, [values[name] for name in names])


def _values(instance: Any) -> dict[str, Any]:
    loaded = vars(instance)
    return {name: loaded[name] for name in _names(type(instance)) if name in loaded}


def _names(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields if field.name not in LEFT_OUT]


def _verdict_key(using: str, user_id: Any, session_id: Any) -> str:
    return _key("verdict", using, user_id, session_id)


def _version_key(user_id: Any) -> str:
    # The same for all databases: two aliases may name one.
    return _key("version", user_id)


def _key(*parts: Any) -> str:
    # Hashed, because a primary key may be any text. An id of another spelling is another key,
    # under which nothing is ever kept.
    return "sessions_ext." + hashlib.sha256(repr([*map(str, parts)]).encode()).hexdigest()


def _version_ttl() -> float:
    return conf.VERDICT_TTL.total_seconds() + MARGIN
