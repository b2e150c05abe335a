from django.core.exceptions import PermissionDenied

__all__ = ["SessionLimitReached"]


class SessionLimitReached(PermissionDenied):
    """The user already has as many active sessions as MAX_SESSIONS allows, and
    ON_LIMIT is "deny". Django answers 403 unless the project catches it."""
