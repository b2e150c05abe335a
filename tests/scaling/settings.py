"""Of a site that keeps its connections open, that records each request, and that may have a replica."""

import os

import dj_database_url

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

ALLOWED_HOSTS = ["127.0.0.1"]
LOGIN_URL = "/who/"  # says nobody
DATABASES["default"]["CONN_MAX_AGE"] = None
SESSIONS_EXT = {"TOUCH_INTERVAL": 0, "REFRESH_GRACE": 60, "MAX_SESSIONS": "tests.scaling.site.limit_of"}
if "REPLICA_URL" in os.environ:
    DATABASES["replica"] = dj_database_url.parse(os.environ["REPLICA_URL"], conn_max_age=None)
    DATABASE_ROUTERS = ["tests.scaling.site.AllButDjangosSessionsAreReadFromTheReplica"]
