"""Accounts that are gone: the user's row goes with the event that says so, the rest of their rows soon after, some at a time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from api.rows import execute, fetch_all
from api.session_rows import delete_sessions_of

# The rows are looked for once more when no transaction can be under way any more that has seen the account.
_SETTLED = timedelta(minutes=1)

# Each takes out at most so many; a user may have millions of rows, and no transaction may.
_ROWS = (
    "DELETE FROM posts WHERE author = %s LIMIT %s",
    "DELETE FROM friends WHERE follower = %s LIMIT %s",
    "DELETE FROM friends WHERE followee = %s LIMIT %s",
    "DELETE FROM post_keys WHERE user_id = %s LIMIT %s",
    "DELETE FROM last_events WHERE author = %s LIMIT %s",
    "DELETE FROM events_from_ahead WHERE author = %s LIMIT %s",
)


@dataclass(frozen=True, slots=True)
class Departure:
    """An account that is gone, and since when."""

    uid: int
    at: datetime


async def insert_departure(conn: Any, uid: int, now: datetime) -> None:
    """Takes the account out. Nobody signs in, follows or is found by it from the commit on; the name is free again."""
    await execute(conn, "DELETE FROM users WHERE id = %s", uid)
    await execute(conn, "INSERT INTO departures (user_id, at) VALUES (%s, %s)", uid, now)


async def select_departures(conn: Any, after: int, limit: int) -> list[Departure]:
    """Those whose rows are still to be taken out, by user id, above `after`."""
    rows = await fetch_all(
        conn, "SELECT user_id, at FROM departures WHERE user_id > %s ORDER BY user_id LIMIT %s", after, limit
    )
    return [Departure(uid, at.replace(tzinfo=UTC)) for uid, at in rows]


async def delete_departed(conn: Any, now: datetime, limit: int, departure: Departure) -> int:
    """How many rows of the user went, up to `limit` of each kind; the departure is the last, when it has settled."""
    gone = 0
    for sql in _ROWS:
        gone += (await execute(conn, sql, departure.uid, limit))[0]
    gone += await delete_sessions_of(conn, departure.uid, limit)
    if not gone and departure.at < now - _SETTLED:
        gone, _ = await execute(conn, "DELETE FROM departures WHERE user_id = %s", departure.uid)
    return gone
