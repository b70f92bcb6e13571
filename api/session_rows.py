"""The rows of sessions and refresh tokens."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from api.rows import execute, fetch_one


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token as it is kept."""

    session_id: str
    user_id: int
    expires_at: datetime
    used_at: datetime | None
    succeeded: bool  # and a token that was given out for it has been used too
    session_ended: bool


def hash_of(token: str) -> str:
    """What is kept of a refresh token, in hexadecimal: it has 256 random bits, so that a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


async def insert_session(conn: Any, user_id: int, now: datetime, life: int) -> str:
    """The id of the new session."""
    sid = str(uuid4())
    await execute(
        conn,
        "INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES (%s, %s, %s, %s)",
        sid,
        user_id,
        now,
        now + timedelta(seconds=life),
    )
    return sid


async def insert_refresh_token(conn: Any, sid: str, now: datetime, life: int) -> str:
    """The new token, which is kept nowhere."""
    token, expires_at = secrets.token_urlsafe(32), now + timedelta(seconds=life)
    await execute(
        conn,
        "INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES (UNHEX(%s), %s, %s)",
        hash_of(token),
        sid,
        expires_at,
    )
    await execute(conn, "UPDATE sessions SET expires_at = %s WHERE id = %s", expires_at, sid)
    return token


async def select_refresh_token(conn: Any, token: str) -> RefreshToken | None:
    """None if it was never given out, or is long over."""
    row = await fetch_one(
        conn,
        "SELECT s.id, s.user_id, t.expires_at, t.used_at, s.ended_at IS NOT NULL, EXISTS (SELECT 1 FROM refresh_tokens later"
        " WHERE later.session_id = t.session_id AND later.used_at > t.used_at)"
        " FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.hash = UNHEX(%s)",
        hash_of(token),
    )
    if row is None:
        return None
    sid, user_id, expires_at, used_at, ended, succeeded = row
    return RefreshToken(sid, user_id, expires_at, used_at, bool(succeeded), bool(ended))


async def update_refresh_tokens_used(conn: Any, sid: str, now: datetime) -> None:
    """The session's unused token is used, and with it any other that was given out for the same one."""
    await execute(conn, "UPDATE refresh_tokens SET used_at = %s WHERE session_id = %s AND used_at IS NULL", now, sid)


async def select_session_ended(conn: Any, sid: str) -> bool | None:
    """Whether the session was signed out, or its user is gone: both are final. None if there is no such session here."""
    row = await fetch_one(
        conn,
        "SELECT s.ended_at IS NOT NULL OR u.id IS NULL FROM sessions s LEFT JOIN users u ON u.id = s.user_id"
        " WHERE s.id = %s",
        sid,
    )
    return bool(row[0]) if row else None


async def update_session_ended(conn: Any, sid: str, now: datetime) -> bool:
    """Whether it was this call that ended it."""
    changed, _ = await execute(conn, "UPDATE sessions SET ended_at = %s WHERE id = %s AND ended_at IS NULL", now, sid)
    return changed == 1


async def delete_expired_sessions(conn: Any, now: datetime, limit: int) -> int:
    """How many rows of long past were taken out, at most `limit` of each kind."""
    tokens, _ = await execute(conn, "DELETE FROM refresh_tokens WHERE expires_at < %s LIMIT %s", now, limit)
    sessions, _ = await execute(conn, "DELETE FROM sessions WHERE expires_at < %s LIMIT %s", now, limit)
    return tokens + sessions
