"""Ends of sessions that Kafka has not been told of are told to Redis again and again, so that it cannot lose them.

As long as such an event waits in the outbox, no node and no archive can know of it. The API told Redis when it answered; but Redis
may have been away then, may have lost it since, or the process may have died in between.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from api.parts import Parts
from api.pool import DatabaseUnavailable
from api.rows import fetch_all
from store.events import EventType
from store.session_ends import SessionEnd

_EVERY_SECONDS = 1.0
_ANSWER_SECONDS = 2.0  # for MySQL
_OVERDUE_SECONDS = 0.5  # what has waited for so long is not on its way to Kafka right now
# Of each type in one round, which is one transaction in Redis; the next round goes on behind them, and after the last begins anew.
_AT_ONCE = 250
_TYPES = (EventType.LOGOUT, EventType.ACCOUNT_DELETED)
# By the primary key it would be found in order too, behind all the posts that wait.
SELECT_UNTOLD = (
    "SELECT id, actor, sid FROM outbox FORCE INDEX (outbox_type) WHERE type = %s AND id > %s ORDER BY id LIMIT %s"
)


async def repeat_untold_ends(parts: Parts) -> None:
    """Runs for ever: each second, while something waits for Kafka. Every process does so: an end told again is the same end."""
    await parts.database.migrated.wait()
    behind = dict.fromkeys(_TYPES, 0)
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        if parts.outbox.oldest_seconds >= _OVERDUE_SECONDS:
            with suppress(DatabaseUnavailable):
                await _repeat_some(parts, behind)


async def _repeat_some(parts: Parts, behind: dict[EventType, int]) -> None:
    """`behind` has the ids of the rows, one for each type, behind which this round begins, and afterwards the next one."""
    ends: list[SessionEnd] = []
    async with parts.database.primary.connection(_ANSWER_SECONDS) as conn:
        for type in _TYPES:
            rows = await select_untold(conn, type, behind[type], _AT_ONCE)
            behind[type] = rows[-1][0] if len(rows) == _AT_ONCE else 0
            ends += [SessionEnd(actor, sid) for _, actor, sid in rows]
    if ends:
        # As after a sign-out now: longer than need be does no harm, since an end is final.
        until = int(datetime.now(UTC).timestamp()) + parts.settings.token_life
        await parts.sessions.tell_ended(ends, until)


async def select_untold(conn: Any, type: EventType, behind: int, limit: int) -> list[tuple[int, int, str | None]]:
    """(id, actor, session) of the events of a type that wait, by id; without a session all of the actor's have ended."""
    rows = await fetch_all(conn, SELECT_UNTOLD, type, behind, limit)
    return [(row_id, actor, sid) for row_id, actor, sid in rows]
