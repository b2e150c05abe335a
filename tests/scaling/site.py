"""What the site's settings name."""

LIMIT = 5


def limit_of(user):
    """Of those whose names say so."""
    return LIMIT if user.get_username().startswith("limited") else None


class AllButDjangosSessionsAreReadFromTheReplica:
    """As the check sessions_ext.W013 asks for."""

    def db_for_read(self, model, **hints):
        return "default" if model._meta.app_label == "sessions" else "replica"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, other, **hints):
        return True

    def allow_migrate(self, db, app_label, **hints):
        return db == "default"
