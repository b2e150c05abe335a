"""What the operations take and answer. The names stand in the project's OpenAPI document beside its
own, where one of two equal names would be lost."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from django.utils import timezone
from ninja import Field, Schema
from ninja.pagination import LimitOffsetPagination
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    SecretStr,
    StrictBool,
    TypeAdapter,
)

from ..endings import REASONS
from ..models import UserSession


def _with_offset(value: Any) -> Any:
    """A time of a project without time zones (USE_TZ) is one of its TIME_ZONE."""
    if isinstance(value, datetime) and timezone.is_naive(value):
        return timezone.make_aware(value, timezone.get_default_timezone())
    return value


def _is_text(secret: SecretStr) -> SecretStr:
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is not a character") from None
    return secret


Password = Annotated[SecretStr, AfterValidator(_is_text), Field(min_length=1, max_length=4096)]
Moment = Annotated[datetime, BeforeValidator(_with_offset)]
State = Literal["active", "revoked", "expired", "all"]


class SessionsExtCredentials(Schema):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"username": "ada", "password": "correct horse"}]}
    )
    username: str = Field(
        min_length=1, max_length=254, pattern="^[^\\x00]*$", description="A user name or an e-mail address."
    )
    password: Password
    code: Annotated[SecretStr, AfterValidator(_is_text)] = Field(
        default_factory=lambda: SecretStr(""),
        max_length=255,
        description="The code of a second factor, after the problem `second_factor_required`.",
    )
    ends: UUID | None = Field(
        None,
        description="Which session of yours to end for this one, after the problem `session_limit_reached`.",
    )


class SessionsExtPassword(Schema):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"password": "correct horse"}]})
    password: Password


class SessionsExtRefreshToken(Schema):
    model_config = ConfigDict(extra="forbid")
    refresh_token: SecretStr = Field(max_length=8192, examples=["eyJhbGciOi…"])


class SessionsExtTrust(Schema):
    model_config = ConfigDict(extra="forbid")
    is_trusted: StrictBool


class SessionsExtError(Schema):
    loc: list[str] = Field(description="Where the error is.", examples=[["body", "credentials", "username"]])
    msg: str = Field(examples=["Field required"])
    type: str = Field(examples=["missing"])


class SessionsExtPlace(Schema):
    """A session that takes a place where their number is limited."""

    id: UUID
    device_info: str = Field(examples=["Chrome on macOS"])
    location: str = Field(examples=["New York, US"])
    created_at: Moment
    last_activity_at: Moment


class SessionsExtWhy(Schema):
    reason: str = Field(
        description=f"One of {', '.join(REASONS)}. Take one that you do not know for `other`.",
        examples=["limit"],
    )
    detail: str = Field(
        description="A sentence for people.", examples=["You were signed out from another device."]
    )


class SessionsExtProblem(Schema):
    """An error (RFC 9457)."""

    type: str = Field(json_schema_extra={"format": "uri-reference"}, examples=["about:blank"])
    title: str = Field(examples=["Unauthorized"])
    status: int = Field(examples=[401])
    detail: str = Field(
        description="An explanation for people.", examples=["Sign in, or refresh the access token."]
    )
    code: str = Field(description="A stable code for programs.", examples=["not_authenticated"])
    errors: list[SessionsExtError] = Field([], description="What is wrong with an invalid request.")
    methods: list[str] = Field(
        [],
        description="Which second factors the user has: send the code of one of them.",
        examples=[["recovery_codes", "totp"]],
    )
    max_age: int | None = Field(
        None, description="How many seconds ago the password may have been given (RFC 9470).", examples=[900]
    )
    sessions: list[SessionsExtPlace] = Field(
        [], description="Which sessions take the places: send the id of one in `ends`."
    )
    session_ended: SessionsExtWhy | None = Field(
        None,
        description="Why the session of this token or cookie has ended; absent where nothing is told.",
    )


PROBLEM_REF = f"#/components/schemas/{SessionsExtProblem.__name__}"


def _of_own(name: str, hidden: Any, session: UserSession, context: Any) -> Any:
    """What a session's user may know: nothing of whoever acts as the user in it."""
    is_hidden = session.is_impersonated and context["request"].user.pk == session.user_id
    return hidden if is_hidden else getattr(session, name)


class SessionsExtSession(Schema):
    """A login. Its id is public and gives no access."""

    id: UUID
    state: Literal["active", "expired", "revoked"]
    is_current: bool = Field(description="Whether this session made the request.")
    is_trusted: bool
    is_impersonated: bool = Field(
        description="Whether somebody who works for this site acts as the user in it. To the user, what would"
        " tell who that is stays empty: device, addresses and location."
    )
    device_info: str = Field(examples=["Chrome on macOS"])
    user_agent: str = Field(examples=["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) …"])
    ip_address: str | None = Field(description="The address at sign-in.", examples=["203.0.113.7"])
    last_ip_address: str | None = Field(examples=["203.0.113.7"])
    location: str = Field(examples=["New York, US"])
    created_at: Moment
    last_activity_at: Moment
    expires_at: Moment
    revoked_at: Moment | None
    revoked_reason: str = Field(examples=["", "logout", "stolen laptop"])
    ended_by: str | None = Field(
        description="Who ended it: user, admin, policy or system.", examples=["user"]
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> Any:
        # A document lists only schemas that another one names, and ninja takes none for answers of
        # another media type. So this schema, which every router answers with, names the problem's.
        schema = handler(core_schema)
        problems = handler(TypeAdapter(list[SessionsExtProblem]).core_schema)
        handler.resolve_ref_schema(schema)["x-problem"] = problems["items"]
        return schema

    resolve_device_info = staticmethod(partial(_of_own, "device_info", ""))
    resolve_user_agent = staticmethod(partial(_of_own, "user_agent", ""))
    resolve_ip_address = staticmethod(partial(_of_own, "ip_address", None))
    resolve_last_ip_address = staticmethod(partial(_of_own, "last_ip_address", None))
    resolve_location = staticmethod(partial(_of_own, "location", ""))

    @staticmethod
    def resolve_state(session: UserSession) -> str:
        return "revoked" if session.is_revoked else "active" if session.is_active else "expired"

    @staticmethod
    def resolve_is_current(session: UserSession, context: Any) -> bool:
        return bool(session.pk == context["request"].user_session.pk)


class SessionsExtTokens(Schema):
    access_token: str = Field(examples=["eyJhbGciOi…"])
    refresh_token: str = Field(examples=["eyJhbGciOi…"], description="Valid for one refresh.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds until the access token expires.", examples=[900])
    session: SessionsExtSession


class SessionsExtEnded(Schema):
    revoked: int = Field(description="How many sessions this call ended.", examples=[2])


class SessionsExtPage(Schema):
    limit: int = Field(20, ge=1, le=100)
    offset: int = Field(0, ge=0, le=100_000)


class Page(LimitOffsetPagination):
    Input: Any = SessionsExtPage
