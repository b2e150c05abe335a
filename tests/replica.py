"""A read replica that lags so far behind that it has seen no session yet. Its tests need
`django_db(databases=["default", "other"])` and
`settings.DATABASE_ROUTERS = ["tests.replica.SessionsAreReadFromAReplica"]`."""

from sessions_ext.models import UserSession


class SessionsAreReadFromAReplica:
    def db_for_read(self, model, **hints):
        return "other" if model is UserSession else "default"

    def db_for_write(self, model, **hints):
        return "default"
