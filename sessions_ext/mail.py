"""The e-mail that tells of a sign-in from a new device, by a task or a thread."""

import logging
import threading
from functools import lru_cache
from typing import Any

import django
from django.contrib.auth import get_user_model
from django.db import connections
from django.http import HttpRequest
from django.template.loader import render_to_string

from .clients.names import without_links
from .models import UserSession
from .new_device import link_to_end, send

logger = logging.getLogger("sessions_ext")


def send_mail_about(session: UserSession, request: HttpRequest | None) -> None:
    """Tell the user by e-mail, if they have an address. The text is made here, in the language of the
    request. A task or a thread sends it, so that the login does not wait."""
    user: Any = session.user
    address = getattr(user, get_user_model().get_email_field_name(), "")
    if not address:
        return
    context = {
        "session": session,
        "user": user,
        "name": _name_of(user, address),
        "link": link_to_end(session, request),
    }
    subject, text, html = (
        render_to_string(f"sessions_ext/new_device_{part}", context)
        for part in ("subject.txt", "body.txt", "body.html")
    )
    _deliver(" ".join(subject.split()), text, html, address)


def _name_of(user: Any, address: str) -> str:
    """How to greet a user: by the short name, made safe to print, or "" for by no name. User names, keys and
    what comes from an address are no names, though some user models answer with them."""
    name = str(getattr(user, "get_short_name", str)() or "").strip()
    identifiers = {user.get_username(), str(user.pk), address.partition("@")[0]}
    if name in identifiers or "@" in name or any(map(str.isdigit, name)):
        return ""
    return without_links(name)


def _send_or_log(*message: str) -> None:
    try:
        send(*message)
    except Exception:
        logger.exception("could not send a new device e-mail")
    finally:
        connections.close_all()  # this thread's, which a mail backend may have opened


def _start_thread(*message: str) -> None:
    threading.Thread(target=_send_or_log, args=message, name="sessions_ext.new_device").start()


if django.VERSION >= (6, 0):
    from django.tasks import task_backends
    from django.tasks.backends.immediate import ImmediateBackend
    from django.tasks.exceptions import InvalidTask, InvalidTaskBackend

    def _deliver(*message: str) -> None:
        try:
            if not isinstance(task_backends["default"], ImmediateBackend):
                # Imported late: that module fails where the backend or its queue is missing.
                from .tasks import send_new_device_email

                send_new_device_email.enqueue(*message)
                return
        except (InvalidTask, InvalidTaskBackend) as error:
            _warn_once(str(error))
        _start_thread(*message)

    @lru_cache
    def _warn_once(error: str) -> None:
        logger.warning("django.tasks cannot send new device e-mails (%s), using a thread", error)

else:
    _deliver = _start_thread
