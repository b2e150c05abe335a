"""Who sent a request, according to the callables in the settings. What these return is made fit to
store."""

import logging
import re
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.module_loading import import_string

from ..conf import conf
from .addresses import header, normalise_ip

logger = logging.getLogger("sessions_ext")


USER_AGENT_LENGTH = 1024
# Control characters, and halves of surrogate pairs, which no database stores.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Client:
    ip_address: str | None
    user_agent: str
    device_info: str
    location: str


def describe(request: HttpRequest | None, ip_address: str | None = None, user_agent: str = "") -> Client:
    """What is known about a caller. An address or user agent that is passed in wins over the
    request's."""
    address = normalise_ip(ip_address) or client_ip(request)
    agent = _agent(user_agent or header(request, "HTTP_USER_AGENT"))
    return Client(
        ip_address=address,
        user_agent=agent,
        device_info=device(agent),
        location=_text(_ask(conf.LOCATION, address) if conf.LOCATION and address else "", 255),
    )


def client_ip(request: HttpRequest | None) -> str | None:
    """The caller's address by CLIENT_IP, normalised; None where there is none."""
    return None if request is None else normalise_ip(_ask(conf.CLIENT_IP, request))


def client_device(request: HttpRequest | None) -> str:
    """The caller's device by DEVICE_INFO; "" where it is not known."""
    return device(_agent(header(request, "HTTP_USER_AGENT")))


def device(user_agent: str) -> str:
    """The device of a stored user agent, as DEVICE_INFO names it now; "" where it is not known. Compare
    devices by this and not by stored names: those may come from older rules."""
    return _text(_ask(conf.DEVICE_INFO, user_agent) if user_agent else "", 255)


def _ask(path: str, argument: Any) -> Any:
    try:
        return import_string(path)(argument)
    except Exception:
        logger.warning("%s failed, continuing without its answer", path, exc_info=True)
        return None


def _agent(header: str) -> str:
    return _text(header, USER_AGENT_LENGTH)


def _text(value: Any, length: int) -> str:
    return _UNPRINTABLE.sub("", str(value or ""))[:length]
