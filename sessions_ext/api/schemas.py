"""What the operations take and answer."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Field, Schema
from ninja.pagination import LimitOffsetPagination
from pydantic import ConfigDict, SecretStr, StrictBool, field_validator

from ..models import UserSession

State = Literal["active", "revoked", "expired", "all"]


class Credentials(Schema):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"username": "ada", "password": "correct horse"}]}
    )
    username: str = Field(
        min_length=1, max_length=254, pattern="^[^\\x00]*$", description="A user name or an e-mail address."
    )
    password: SecretStr = Field(min_length=1, max_length=4096)

    @field_validator("password")
    @classmethod
    def is_text(cls, password: SecretStr) -> SecretStr:
        try:
            password.get_secret_value().encode()
        except UnicodeEncodeError:
            raise ValueError("half of a surrogate pair is not a character") from None
        return password


class RefreshToken(Schema):
    model_config = ConfigDict(extra="forbid")
    refresh_token: SecretStr = Field(max_length=8192, examples=["eyJhbGciOi…"])


class Trust(Schema):
    model_config = ConfigDict(extra="forbid")
    is_trusted: StrictBool


class Session(Schema):
    """A login. Its id is public and gives no access."""

    id: UUID
    state: Literal["active", "expired", "revoked"]
    is_current: bool = Field(description="Whether this session made the request.")
    is_trusted: bool
    device_info: str = Field(examples=["Chrome on macOS"])
    user_agent: str = Field(examples=["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) …"])
    ip_address: str | None = Field(description="The address at sign-in.", examples=["203.0.113.7"])
    last_ip_address: str | None = Field(examples=["203.0.113.7"])
    location: str = Field(examples=["New York, US"])
    created_at: datetime
    last_activity_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_reason: str = Field(examples=["", "logout", "stolen laptop"])
    ended_by: str | None = Field(
        description="Who ended it: user, admin, policy or system.", examples=["user"]
    )

    @staticmethod
    def resolve_state(session: UserSession) -> str:
        return "revoked" if session.is_revoked else "active" if session.is_active else "expired"

    @staticmethod
    def resolve_is_current(session: UserSession, context: Any) -> bool:
        return bool(session.pk == context["request"].user_session.pk)


class Tokens(Schema):
    access_token: str = Field(examples=["eyJhbGciOi…"])
    refresh_token: str = Field(examples=["eyJhbGciOi…"], description="Valid for one refresh.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds until the access token expires.", examples=[900])
    session: Session


class Ended(Schema):
    revoked: int = Field(description="How many sessions this call ended.", examples=[2])


class Page(LimitOffsetPagination):
    class Input(Schema):
        limit: int = Field(20, ge=1, le=100)
        offset: int = Field(0, ge=0, le=100_000)
