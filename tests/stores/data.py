"""The stored data of a client's session."""

from importlib import import_module

from django.conf import settings as django_settings
from django.test import Client


def rewrite(client: Client, **data) -> None:
    """Change the stored session data of a client; None removes a key."""
    session = client.session
    for key, value in data.items():
        session.pop(key, None)
        if value is not None:
            session[key] = value
    session.save()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = session.session_key


def payload_exists(session_key: str) -> bool:
    return import_module(django_settings.SESSION_ENGINE).SessionStore().exists(session_key)
