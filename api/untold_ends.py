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
from store.session_ends import SessionEnd

_EVERY_SECONDS = 1.0
_ANSWER_SECONDS = 2.0  # for MySQL
_OVERDUE_SECONDS = 0.5  # what has waited for so long is not on its way to Kafka right now
# In one round, which is one transaction in Redis; the next round goes on behind them, and after the last begins anew.
_AT_ONCE = 500


async def repeat_untold_ends(parts: Parts) -> None:
    """Runs for ever: each second, while something waits for Kafka. Every process does so: an end told again is the same end."""
    await parts.database.migrated.wait()
    behind = 0
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        if parts.outbox.oldest_seconds >= _OVERDUE_SECONDS:
            with suppress(DatabaseUnavailable):
                behind = await _repeat_some(parts, behind)


async def _repeat_some(parts: Parts, behind: int) -> int:
    """`behind` is the id of the row behind which this round begins; answers that of the next one."""
    async with parts.database.primary.connection(_ANSWER_SECONDS) as conn:
        rows = await select_waiting_ends(conn, behind, _AT_ONCE)
    if rows:
        # As after a sign-out now: longer than need be does no harm, since an end is final.
        until = int(datetime.now(UTC).timestamp()) + parts.settings.token_life
        await parts.sessions.tell_ended([SessionEnd(uid, sid) for _, uid, sid in rows], until)
    return rows[-1][0] if len(rows) == _AT_ONCE else 0


async def select_waiting_ends(conn: Any, behind: int, limit: int) -> list[tuple[int, int, str | None]]:
    """(id in the outbox, user, session) of the ends that wait, by id; without a session all of the user's have ended."""
    rows = await fetch_all(
        conn,
        "SELECT outbox_id, user_id, session_id FROM waiting_ends WHERE outbox_id > %s ORDER BY outbox_id LIMIT %s",
        behind,
        limit,
    )
    return [(row_id, uid, sid) for row_id, uid, sid in rows]
