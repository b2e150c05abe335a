"""What a user logs in with, and why their sessions ended."""

from sessions_ext.models import UserSession


def credentials(user, password="password"):
    return {"username": user.get_username(), "password": password}


def reasons_of(user) -> list[str]:
    return list(UserSession.objects.for_user(user).oldest_first().values_list("revoked_reason", flat=True))
