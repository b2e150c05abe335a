"""The same operations on the same table, as a FastAPI project writes them: a repository over an
SQLAlchemy 2 AsyncSession of its own for each unit of work; and as plain prepared statements."""

import uuid
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import psycopg
from sqlalchemy import ForeignKey, Text, func, select, update
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship
from sqlalchemy.types import DateTime
from uuid_utils.compat import uuid7

from tests.benchmarks.common import IP_ADDRESS, USER_AGENT

LIFETIME, TOUCH_INTERVAL = timedelta(days=30), timedelta(seconds=60)


def now():
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True), str: Text, IPv4Address: INET, list: JSONB}


class User(Base):
    __tablename__ = "auth_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    password: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    email: Mapped[str]
    is_superuser: Mapped[bool]
    is_staff: Mapped[bool]
    is_active: Mapped[bool]
    last_login: Mapped[datetime | None]
    date_joined: Mapped[datetime]


class UserSession(Base):
    __tablename__ = "sessions_ext_usersession"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[int] = mapped_column(ForeignKey("auth_user.id"))
    device_info: Mapped[str] = mapped_column(default="")
    user_agent: Mapped[str] = mapped_column(default="")
    ip_address: Mapped[IPv4Address | None]
    location: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_activity_at: Mapped[datetime] = mapped_column(default=now)
    authenticated_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    is_revoked: Mapped[bool] = mapped_column(default=False)
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str] = mapped_column(default="")
    is_trusted: Mapped[bool] = mapped_column(default=False)
    refresh_token_id: Mapped[uuid.UUID | None]
    previous_refresh_token_id: Mapped[uuid.UUID | None]
    refreshed_at: Mapped[datetime | None]
    last_ip_address: Mapped[IPv4Address | None]
    suspicious_activity_count: Mapped[int] = mapped_column(default=0)
    last_provider_accessed: Mapped[str] = mapped_column(default="")
    last_provider_sync_at: Mapped[datetime | None]
    providers_accessed: Mapped[list] = mapped_column(default=list)
    user: Mapped[User] = relationship(lazy="raise")


class Repository:
    def __init__(self, db: AsyncSession):
        self.db = db

    async def count_active(self, user_id):
        return await self.db.scalar(select(func.count()).select_from(UserSession).where(*active(user_id)))

    async def find(self, user_id, session_id):
        statement = select(UserSession).where(UserSession.id == session_id, UserSession.user_id == user_id)
        return (await self.db.execute(statement)).scalar_one_or_none()

    async def list_active(self, user_id):
        newest_first = UserSession.created_at.desc(), UserSession.id.desc()
        statement = select(UserSession).where(*active(user_id)).order_by(*newest_first)
        return (await self.db.execute(statement)).scalars().all()

    async def oldest_active(self, user_id):
        oldest_first = UserSession.created_at, UserSession.id
        statement = select(UserSession).where(*active(user_id)).order_by(*oldest_first).limit(1)
        return (await self.db.execute(statement)).scalar_one_or_none()

    async def verify(self, user_id, session_id):
        statement = (
            select(UserSession)
            .options(joinedload(UserSession.user))
            .where(UserSession.id == session_id, *active(user_id))
        )
        return (await self.db.execute(statement)).scalar_one_or_none()

    async def touch(self, user_id, session_id):
        at = now()
        due = UserSession.last_activity_at <= at - TOUCH_INTERVAL
        statement = update(UserSession).where(UserSession.id == session_id, due, *active(user_id))
        result = await self.db.execute(
            statement.values(last_activity_at=at, last_ip_address=IP_ADDRESS),
            execution_options={"synchronize_session": False},
        )
        await self.db.commit()
        return result.rowcount

    async def save(self, session):
        self.db.add(session)
        await self.db.commit()
        return session

    async def revoke_all(self, user_id, but_this):
        others = UserSession.user_id == user_id, UserSession.id != but_this, UserSession.is_revoked.is_(False)
        result = await self.db.execute(
            update(UserSession)
            .where(*others)
            .values(is_revoked=True, revoked_at=now(), revoked_reason="user")
            .returning(UserSession.id),
            execution_options={"synchronize_session": False},
        )
        revoked = result.scalars().all()
        await self.db.commit()
        return len(revoked)


def active(user_id):
    return (
        UserSession.user_id == user_id,
        UserSession.is_revoked.is_(False),
        UserSession.expires_at > now(),
    )


def new(user_id):
    """A session to save."""
    return UserSession(
        user_id=user_id,
        device_info="Firefox on Linux",
        user_agent=USER_AGENT,
        ip_address=IP_ADDRESS,
        last_ip_address=IP_ADDRESS,
        expires_at=now() + LIFETIME,
    )


TABLE = UserSession.__tablename__
COLUMNS = [column.name for column in UserSession.__table__.columns]
SELECT = f"SELECT {', '.join(COLUMNS)} FROM {TABLE}"
ACTIVE = "user_id = %s AND NOT is_revoked AND expires_at > %s"


class Prepared:
    """One psycopg connection in autocommit mode; rows are tuples."""

    def __init__(self, **parameters):
        self.connection = psycopg.connect(**parameters, autocommit=True)

    def run(self, sql, *parameters):
        return self.connection.execute(sql, parameters, prepare=True)

    def count_active(self, user_id):
        return self.run(f"SELECT count(*) FROM {TABLE} WHERE {ACTIVE}", user_id, now()).fetchone()[0]

    def find(self, user_id, session_id):
        return self.run(f"{SELECT} WHERE id = %s AND user_id = %s", session_id, user_id).fetchone()

    def list_active(self, user_id):
        newest_first = "ORDER BY created_at DESC, id DESC"
        return self.run(f"{SELECT} WHERE {ACTIVE} {newest_first}", user_id, now()).fetchall()

    def oldest_active(self, user_id):
        oldest_first = "ORDER BY created_at, id LIMIT 1"
        return self.run(f"{SELECT} WHERE {ACTIVE} {oldest_first}", user_id, now()).fetchone()

    def verify(self, user_id, session_id):
        return self.run(
            f"SELECT s.*, u.* FROM {TABLE} s JOIN auth_user u ON u.id = s.user_id"
            f" WHERE s.id = %s AND s.{ACTIVE}",
            session_id,
            user_id,
            now(),
        ).fetchone()

    def touch(self, user_id, session_id):
        at = now()
        return self.run(
            f"UPDATE {TABLE} SET last_activity_at = %s, last_ip_address = %s"
            f" WHERE id = %s AND {ACTIVE} AND last_activity_at <= %s",
            at,
            IP_ADDRESS,
            session_id,
            user_id,
            at,
            at - TOUCH_INTERVAL,
        ).rowcount

    def save_new(self, user_id):
        at = now()
        values = [uuid7(), user_id, "Firefox on Linux", USER_AGENT, IP_ADDRESS, "", at, at, at + LIFETIME]
        values += [False, None, "", False, None, None, None, IP_ADDRESS, 0, "", None, "[]"]
        places = ", ".join(["%s"] * len(values))
        return self.run(f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({places})", *values).rowcount

    def save_one_column(self, user_id, session_id):
        return self.run(f"UPDATE {TABLE} SET is_trusted = %s WHERE id = %s", True, session_id).rowcount

    def revoke_all(self, user_id, but_this):
        return self.run(
            f"UPDATE {TABLE} SET is_revoked = true, revoked_at = %s, revoked_reason = %s"
            " WHERE user_id = %s AND id <> %s AND NOT is_revoked RETURNING id",
            now(),
            "user",
            user_id,
            but_this,
        ).rowcount
