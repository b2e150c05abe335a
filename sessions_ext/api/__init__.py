"""The API: log in, refresh, see and end sessions. A project mounts the routers on a NinjaAPI of
its own, and protects its own operations, sync or async, with `auth=session_auth`."""

from .auth import BearerAuth, CookieAuth, RateThrottle, session_auth
from .login import login_router
from .problems import PROBLEMS, Problem
from .routers import share_paths
from .sessions import router
from .staff import staff_router

__all__ = [
    "PROBLEMS",
    "BearerAuth",
    "CookieAuth",
    "Problem",
    "RateThrottle",
    "login_router",
    "router",
    "session_auth",
    "staff_router",
]

share_paths(login_router, router)
