"""The rows of sessions and refresh tokens.

A refresh token is its session's family, which all tokens of the session begin with, and a part of its own; both are random, and
only hashes are kept. When a token is used that was given out for others, those others are superseded and their rows go: a session
has few rows however long it lasts, and a superseded token is known all the same, by its family.
"""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from api.rows import execute, fetch_all, fetch_one, marks

# How long a token that was used is good again, as long as nothing that was given out for it has been used: its answer may have been
# lost, and the client may have slept since. Longer than any pause of our clients (docs/time-limits.md).
GOOD_AGAIN = timedelta(hours=1)
# Of several that were given out for one, only the first to be used goes on. The others are good for so long after that: answers of
# two requests that were under way at once may reach a browser in either order.
OTHERS_GOOD = timedelta(seconds=10)
OF_A_SESSION = ("refresh_tokens", "refresh_families")  # tables whose rows name one
_FAMILY, _OWN = 16, 32  # random bytes
_FAMILY_LENGTH = len(secrets.token_urlsafe(_FAMILY))
_LENGTH = _FAMILY_LENGTH + len(secrets.token_urlsafe(_OWN))


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token as it is kept. `own` is None if its row has gone: it is superseded."""

    session_id: str
    user_id: int
    session_expires_at: datetime
    session_ended: bool
    own: "OwnRow | None"

    def is_over(self, now: datetime) -> bool:
        """Whether it is too late for it: nobody has used it in time, or the session is over."""
        never_used = self.own is not None and self.own.used_at is None
        return self.session_ended or self.session_expires_at <= now or (never_used and self._expired(now))

    def is_reused(self, now: datetime) -> bool:
        """Whether whoever sends it has a copy: its answer was not lost, or long ago."""
        if self.own is None:
            return True
        if self.own.used_at is None:
            return False
        return self.own.succeeded or self._expired(now) or now - self.own.used_at > GOOD_AGAIN

    def _expired(self, now: datetime) -> bool:
        return self.own is not None and self.own.expires_at <= now


@dataclass(frozen=True, slots=True)
class OwnRow:
    """What is kept of one token."""

    expires_at: datetime
    used_at: datetime | None
    succeeded: bool  # and a token that was given out for it has been used too


def hash_of(token: str) -> str:
    """What is kept of a random text, in hexadecimal: it has 128 random bits or more, so that a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def family_of(token: str) -> str | None:
    """What all tokens of its session begin with; None for one that was made before there were families."""
    return token[:_FAMILY_LENGTH] if len(token) == _LENGTH else None


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


async def insert_refresh_token(conn: Any, sid: str, family: str | None, now: datetime, life: int) -> str:
    """The new token, which is kept nowhere. Of a new family if there is none yet."""
    expires_at = now + timedelta(seconds=life)
    if family is None:
        family = secrets.token_urlsafe(_FAMILY)
        await execute(
            conn, "INSERT INTO refresh_families (hash, session_id) VALUES (UNHEX(%s), %s)", hash_of(family), sid
        )
    token = family + secrets.token_urlsafe(_OWN)
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
    """None if it was never given out, or its session is long over."""
    row = await fetch_one(
        conn,
        "SELECT s.id, s.user_id, s.expires_at, s.ended_at IS NOT NULL, t.expires_at, t.used_at,"
        " EXISTS (SELECT 1 FROM refresh_tokens later WHERE later.session_id = t.session_id AND later.used_at > t.used_at)"
        " FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.hash = UNHEX(%s)",
        hash_of(token),
    )
    if row is not None:
        own = OwnRow(_utc(row[4]), None if row[5] is None else _utc(row[5]), bool(row[6]))
        return RefreshToken(row[0], row[1], _utc(row[2]), bool(row[3]), own)
    if (family := family_of(token)) is None:
        return None
    row = await fetch_one(
        conn,
        "SELECT s.id, s.user_id, s.expires_at, s.ended_at IS NOT NULL"
        " FROM refresh_families f JOIN sessions s ON s.id = f.session_id WHERE f.hash = UNHEX(%s)",
        hash_of(family),
    )
    return RefreshToken(row[0], row[1], _utc(row[2]), bool(row[3]), None) if row else None


async def update_refresh_tokens_used(conn: Any, sid: str, token: str, now: datetime) -> None:
    """The token is used for the first time; so what it was given out for is superseded, and others that were given out for the same
    are good for a moment yet."""
    await execute(conn, "DELETE FROM refresh_tokens WHERE session_id = %s AND used_at IS NOT NULL", sid)
    await execute(
        conn,
        "UPDATE refresh_tokens SET used_at = %s, expires_at = IF(hash = UNHEX(%s), expires_at, LEAST(expires_at, %s))"
        " WHERE session_id = %s AND used_at IS NULL",
        now,
        hash_of(token),
        now + OTHERS_GOOD,
        sid,
    )


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


async def delete_expired_tokens(conn: Any, now: datetime, limit: int) -> int:
    """How many refresh tokens of long past were taken out, at most `limit`."""
    return (await execute(conn, "DELETE FROM refresh_tokens WHERE expires_at < %s LIMIT %s", now, limit))[0]


async def delete_expired_sessions(conn: Any, now: datetime, limit: int) -> int:
    """How many rows of sessions of long past were taken out, at most `limit` of each kind."""
    found = await fetch_all(conn, "SELECT id FROM sessions WHERE expires_at < %s LIMIT %s", now, limit)
    return await delete_sessions(conn, [sid for (sid,) in found], limit)


async def delete_sessions_of(conn: Any, user_id: int, limit: int) -> int:
    """How many rows of the user's sessions were taken out, at most `limit` of each kind."""
    found = await fetch_all(conn, "SELECT id FROM sessions WHERE user_id = %s LIMIT %s", user_id, limit)
    return await delete_sessions(conn, [sid for (sid,) in found], limit)


async def delete_sessions(conn: Any, sids: Collection[str], limit: int) -> int:
    """How many rows were taken out, at most `limit` of each kind: the sessions themselves when nothing names them any more."""
    if not sids:
        return 0
    gone, which = 0, f"session_id IN {marks(sids)} LIMIT %s"
    for table in OF_A_SESSION:
        gone += (await execute(conn, f"DELETE FROM {table} WHERE {which}", *sids, limit))[0]  # noqa: S608
        if gone >= limit:
            return gone
    return gone + (await execute(conn, f"DELETE FROM sessions WHERE id IN {marks(sids)}", *sids))[0]  # noqa: S608


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
