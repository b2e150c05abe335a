"""Errors as RFC 9457 problem details, for the routers of the API."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from http import HTTPStatus
from math import ceil
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, RawPostDataException, UnreadablePostError
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from ..endings import SessionEnded
from ..step_up import DETAIL, noted_max_age
from ..step_up import challenge as challenge_to_confirm
from ..tokens import bearer_token, challenge, why_ended
from .schemas import PROBLEM_REF

PROBLEM_TYPE = "application/problem+json"
MAX_BODY = 64 * 1024  # bytes; the longest password and the longest token are far below
MAX_ERRORS = 20
PROBLEMS = {
    "malformed_request": (400, gettext_lazy("The body is not JSON.")),
    "invalid_credentials": (401, gettext_lazy("No active account matches these credentials.")),
    "invalid_refresh_token": (401, gettext_lazy("The session has ended or never existed. Sign in again.")),
    # Not a 403, which says that to come again with more does not help (RFC 9110, 15.5.4); and a 401 is
    # what RFC 9470 has for an authentication that is to be completed.
    "second_factor_required": (401, gettext_lazy("Send the code of a second factor as well.")),
    "wrong_password": (401, gettext_lazy("That is not your password.")),
    "insufficient_user_authentication": (401, DETAIL),
    "not_authenticated": (401, gettext_lazy("Sign in, or refresh the access token.")),
    "csrf_failed": (
        403,
        gettext_lazy("A call that uses the session cookie must send the CSRF token in X-CSRFToken."),
    ),
    "login_denied": (403, gettext_lazy("This account may not sign in here.")),
    "permission_denied": (403, gettext_lazy("This needs a permission that you do not have.")),
    "session_limit_reached": (403, gettext_lazy("Sign out on another device first.")),
    "not_found": (404, gettext_lazy("There is no such session.")),
    "body_too_large": (413, gettext_lazy("The body is too large.")),
    "invalid_request": (422, gettext_lazy("The request does not match the documented schema.")),
    "throttled": (429, gettext_lazy("Too many requests. Try again later.")),
}
# The caller is known, and has to prove more: a new token by a refresh would not help.
TO_CONFIRM = {"insufficient_user_authentication", "second_factor_required", "wrong_password"}
# What ninja itself answers with, before or around an operation.
BY_STATUS = {
    400: "malformed_request",
    401: "not_authenticated",
    403: "csrf_failed",
    404: "not_found",
    422: "invalid_request",
    429: "throttled",
}


class Problem(Exception):  # noqa: N818
    """Ends an operation with one of the PROBLEMS, and with `more` members beside those that all have."""

    def __init__(self, code: str, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(code)
        self.code, self.headers, self.more = code, headers, more


def details(code: str) -> dict[str, Any]:
    """An error as RFC 9457 problem details, with a stable `code` beside the standard members."""
    status, detail = PROBLEMS[code]
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": str(detail), "code": code}


def answer_problems(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def call(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return view(request, *args, **kwargs)
        except Problem as error:
            return _answer(error.code, error.headers, **error.more)

    return call


def finish_answers(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Turn ninja's own errors into problem details, whatever exception handlers the project's API has.
    Say how to authenticate, and let no cache keep an answer."""

    @wraps(run)
    def call(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            if request.method in ("POST", "PATCH"):
                _read_body(request)
            response = run(request, *args, **kwargs)
        except RequestDataTooBig:
            response = _answer("body_too_large")
        except (RawPostDataException, UnreadablePostError):
            response = _answer("malformed_request")
        code = BY_STATUS.get(response.status_code)
        if code == "not_authenticated" and (seconds := noted_max_age(request)):
            response = _answer("insufficient_user_authentication", max_age=seconds)
        if code and response["Content-Type"] != PROBLEM_TYPE:
            more = {"errors": _validation_errors(response)} if code == "invalid_request" else {}
            more |= _told(request) if code == "not_authenticated" else {}
            response.content = json.dumps(details(code) | more).encode()
            response["Content-Type"] = PROBLEM_TYPE
        throttle = getattr(request, "_sessions_ext_throttle", None)
        if response.status_code == 429 and throttle:
            response.headers.setdefault(
                "Retry-After", str(ceil(throttle.wait()))
            )  # as ninja does from 1.7 on
        if response.status_code == 401 and not response.has_header("WWW-Authenticate"):
            response["WWW-Authenticate"] = challenge(request)
        response["Cache-Control"] = "no-store"
        return response

    return call


def _read_body(request: HttpRequest) -> None:
    """Read the body before ninja does, which would answer 500, and before a parser does, which needs
    many times its size in memory. The announced length is checked first, so that a body known to be too
    large is not read. Raises what Django raises for a body that cannot be read, or not again."""
    told = (request.headers.get("content-length") or "0")[:9]
    if (told.isdecimal() and int(told) > MAX_BODY) or len(request.body) > MAX_BODY:
        raise RequestDataTooBig


def _answer(code: str, headers: dict[str, str] | None = None, **more: Any) -> HttpResponse:
    problem = details(code) | more
    response = HttpResponse(json.dumps(problem), PROBLEM_TYPE, problem["status"], headers=headers)
    if code in TO_CONFIRM:
        response["WWW-Authenticate"] = challenge_to_confirm(more.get("max_age"))
    return response


@sensitive_variables("token")
def _told(request: Any) -> dict[str, Any]:
    """Why the session of the caller's own token or cookie has ended, as a member of a problem."""
    token = bearer_token(request)
    return member_of(getattr(request, "session_ended", None) if token is None else why_ended(token))


def member_of(ended: SessionEnded | None) -> dict[str, Any]:
    return {"session_ended": {"reason": ended.reason, "detail": str(ended)}} if ended else {}


def _validation_errors(response: HttpResponse) -> list[Any]:
    with suppress(ValueError, TypeError, KeyError):
        errors = json.loads(response.content)["detail"][:MAX_ERRORS]
        return [
            {"loc": [*map(str, error["loc"])], "msg": error["msg"], "type": error["type"]} for error in errors
        ]
    return []


HEADERS = {401: {"WWW-Authenticate": "string"}, 429: {"Retry-After": "integer"}}


def described(*codes: str) -> dict[str, Any]:
    """The OpenAPI description of the problems that an operation answers with."""
    responses: dict[int, Any] = {}
    for code in codes:
        status = PROBLEMS[code][0]
        content = {PROBLEM_TYPE: {"schema": {"$ref": PROBLEM_REF}, "examples": {}}}
        response = responses.setdefault(
            status, {"description": HTTPStatus(status).phrase, "content": content}
        )
        response["content"][PROBLEM_TYPE]["examples"][code] = {"value": details(code)}
        if status in HEADERS:
            response["headers"] = {n: {"schema": {"type": kind}} for n, kind in HEADERS[status].items()}
    return {"responses": responses}
