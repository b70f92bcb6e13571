"""Accounts that are gone: the user's row goes with the event that says so, the rest of their rows soon after, some at a time."""

from datetime import datetime, timedelta
from typing import Any

from api.rows import execute, fetch_all

# The rows are looked for once more when no transaction can be under way any more that has seen the account.
_SETTLED = timedelta(minutes=1)

# Each takes out at most so many; a user may have millions of rows, and no transaction may.
_ROWS = (
    "DELETE FROM posts WHERE author = %s LIMIT %s",
    "DELETE FROM friends WHERE follower = %s LIMIT %s",
    "DELETE FROM friends WHERE followee = %s LIMIT %s",
    "DELETE FROM post_keys WHERE user_id = %s LIMIT %s",
    "DELETE FROM last_events WHERE author = %s LIMIT %s",
    "DELETE FROM refresh_tokens WHERE session_id IN (SELECT id FROM sessions WHERE user_id = %s) LIMIT %s",
)
_SESSIONS = "DELETE FROM sessions WHERE user_id = %s LIMIT %s"  # when no token names them any more


async def insert_departure(conn: Any, uid: int, now: datetime) -> None:
    """Takes the account out. Nobody signs in, follows or is found by it from the commit on; the name is free again."""
    await execute(conn, "DELETE FROM users WHERE id = %s", uid)
    await execute(conn, "INSERT INTO departures (user_id, at) VALUES (%s, %s)", uid, now)


async def delete_departed(conn: Any, now: datetime, limit: int) -> int:
    """Takes out up to `limit` rows of each kind of the user who left first. How many went; 0 when nothing is left to be done."""
    for uid, at in await fetch_all(conn, "SELECT user_id, at FROM departures ORDER BY at, user_id LIMIT 100"):
        gone = 0
        for sql in _ROWS:
            gone += (await execute(conn, sql, uid, limit))[0]
        if not gone:
            gone, _ = await execute(conn, _SESSIONS, uid, limit)
        if gone:
            return gone
        if at < now.replace(tzinfo=None) - _SETTLED:
            await execute(conn, "DELETE FROM departures WHERE user_id = %s", uid)
    return 0
