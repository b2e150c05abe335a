"""For Django REST framework: an API's own views behind access tokens. Needs the extra `rest-framework`."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.permissions import BasePermission

from . import step_up, tokens
from .models import UserSession

__all__ = ["BearerAuthentication", "IsFresh"]


class BearerAuthentication(BaseAuthentication):  # type: ignore[misc]
    """An access token in the Authorization header (RFC 6750). `request.user` is the user, and
    `request.auth` the session's row, as is `request.user_session`. One query; one more to record activity,
    once per TOUCH_INTERVAL. A wrong token is refused, whatever other classes stand beside this one."""

    @sensitive_variables()
    def authenticate(self, request: Any) -> tuple[Any, UserSession] | None:
        token = tokens.bearer_token(request)
        if token is None:
            return None
        session = tokens.authenticate(request._request, token)
        if session is None:
            raise AuthenticationFailed(
                gettext_lazy("Sign in, or refresh the access token."), code="not_authenticated"
            )
        return session.user, session

    def authenticate_header(self, request: Any) -> str:
        return tokens.challenge(request)


class NotFresh(APIException):  # type: ignore[misc]
    """The caller is known, and has to confirm who they are: 401 with the challenge of RFC 9470."""

    status_code = 401
    default_detail = step_up.DETAIL
    default_code = "insufficient_user_authentication"

    def __init__(self, within: timedelta | None) -> None:
        super().__init__()
        self.auth_header = step_up.challenge(step_up.max_age(within))


class IsFresh(BasePermission):  # type: ignore[misc]
    """A permission for views that ask for a fresh login, see UserSession.is_fresh(): within the view's
    `fresh_within`, or else REAUTHENTICATE_AFTER. Clients confirm by POST /sessions/current/confirm. No
    query."""

    def has_permission(self, request: Any, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        within = getattr(view, "fresh_within", None)
        if not step_up.is_fresh(request._request, within):
            raise NotFresh(within)
        return True


def _describe_to_drf_spectacular() -> None:
    from drf_spectacular.extensions import OpenApiAuthenticationExtension

    class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]
        target_class = BearerAuthentication
        name = "BearerAuth"

        def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
            return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


with suppress(ImportError):
    _describe_to_drf_spectacular()
