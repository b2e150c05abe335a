"""How often something may be tried, counted in a cache that all processes share."""

import logging
import time
from typing import Any

from django.core.cache import cache as default_cache

logger = logging.getLogger("sessions_ext")


def wait(key: str, limit: int, seconds: float, *, what: str, cache: Any = default_cache) -> float:
    """Count a try. Returns for how many seconds nobody may try again, or 0 where this try is one of the
    first `limit` in its window, which begins with a key's first try and lasts for `seconds`. Tries at the
    same moment agree on the window, because only one of them can add it to the cache. While the cache is
    down every try passes, which is logged with `what` is tried."""
    now = time.time()
    try:
        cache.add(key, now + seconds, seconds)
        end = cache.get(key) or now + seconds
        cache.add(f"{key}_{end}", 0, seconds)
        count = int(cache.incr(f"{key}_{end}"))
    except Exception as error:
        logger.warning("%s is not throttled: the cache failed with %s", what, type(error).__name__)
        return 0
    return float(max(end - now, 1)) if count > limit else 0


def forget(key: str, *, cache: Any = default_cache) -> None:
    """Begin a new window with the next try. A cache that is down keeps the old one."""
    try:
        cache.delete_many([key, f"{key}_{cache.get(key)}"])
    except Exception as error:
        logger.warning("a throttle was not reset: the cache failed with %s", type(error).__name__)
