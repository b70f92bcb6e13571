"""The rows of the outbox, and the rule by which they leave it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.rows import execute, fetch_all, fetch_one, fetch_with, marks
from store.events import EventType

ENDS_OF_SESSIONS = (EventType.LOGOUT, EventType.ACCOUNT_DELETED)
_COUNTED_UP_TO = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """An event that waits; `id` grows with each author's actions."""

    id: int
    actor: int
    event_id: str
    type: str
    sid: str | None
    body: bytes
    created_at: datetime


def in_order(locked: Iterable[Row], present: Iterable[tuple[int, int]]) -> list[Row]:
    """The locked rows that may be told now: of each author only those with no older row that another process holds.

    `present` is (id, actor) of every row of these authors up to the newest locked one, whoever holds it, by id.
    """
    mine = {row.id: row for row in locked}
    blocked: set[int] = set()
    free: list[Row] = []
    for row_id, actor in present:
        if row_id not in mine:
            blocked.add(actor)
        elif actor not in blocked:
            free.append(mine[row_id])
    return free


# Both lock by primary key alone and in its order, so that two processes never wait for each other.
async def begin_with_rows(conn: Any, ids: Sequence[int]) -> list[Row]:
    """Begins a transaction with those of the rows locked that nobody else holds. By id."""
    return await _select_locked(conn, f"WHERE id IN {marks(ids)}", *ids)


async def begin_with_oldest(conn: Any, limit: int) -> list[Row]:
    """Begins a transaction with the oldest rows locked that nobody else holds. By id."""
    return await _select_locked(conn, "ORDER BY id LIMIT %s", limit)


async def _select_locked(conn: Any, which: str, *values: object) -> list[Row]:
    sql = f"SELECT id, actor, event_id, type, sid, body, created_at FROM outbox {which} FOR UPDATE SKIP LOCKED"  # noqa: S608
    return sorted((Row(*row) for row in await fetch_with(conn, "BEGIN", sql, *values)), key=lambda row: row.id)


async def select_ids(conn: Any, actors: Collection[int], up_to: int) -> list[tuple[int, int]]:
    """(id, actor) of every committed row of these authors, locked or not, by id."""
    rows = await fetch_all(
        conn,
        f"SELECT id, actor FROM outbox WHERE actor IN {marks(actors)} AND id <= %s ORDER BY id",  # noqa: S608
        *actors,
        up_to,
    )
    return [(row_id, actor) for row_id, actor in rows]


async def select_present(conn: Any, ids: Collection[int]) -> set[int]:
    """Those of the rows that are still there, locked or not."""
    if not ids:
        return set()
    return {row[0] for row in await fetch_all(conn, f"SELECT id FROM outbox WHERE id IN {marks(ids)}", *ids)}  # noqa: S608


async def select_nothing(conn: Any) -> None:
    """Says to the server that we are still there. Raises if the connection is gone, and with it the transaction."""
    await fetch_one(conn, "SELECT 1")


async def select_waiting(conn: Any) -> tuple[int, int | None, float]:
    """How many rows wait, counted up to 100,000; the id of the oldest, and for how many seconds it has, by the database's clock."""
    oldest = await fetch_one(
        conn, "SELECT id, TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(3)) FROM outbox ORDER BY id LIMIT 1"
    )
    if oldest is None:
        return 0, None, 0.0
    count = await fetch_one(conn, "SELECT COUNT(*) FROM (SELECT 1 FROM outbox LIMIT %s) AS counted", _COUNTED_UP_TO)
    return (count[0] if count else 0), oldest[0], max(0.0, oldest[1] / 1e6)


async def insert_waiting_end(conn: Any, row_id: int, uid: int, sid: str | None) -> None:
    """Notes that this row of the outbox is the end of a session, or of all of the user's, until it is told."""
    await execute(
        conn, "INSERT INTO waiting_ends (outbox_id, user_id, session_id) VALUES (%s, %s, %s)", row_id, uid, sid
    )


async def delete_and_commit(conn: Any, rows: Sequence[Row]) -> None:
    """Takes rows out that Kafka has acknowledged, and ends the transaction."""
    ids, ends = [row.id for row in rows], [row.id for row in rows if row.type in ENDS_OF_SESSIONS]
    if ends:
        await execute(conn, f"DELETE FROM waiting_ends WHERE outbox_id IN {marks(ends)}", *ends)  # noqa: S608
    async with conn.cursor() as cursor:
        await cursor.execute(f"DELETE FROM outbox WHERE id IN {marks(ids)}; COMMIT", ids)  # noqa: S608
        await cursor.nextset()
