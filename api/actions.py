"""An action: what somebody does, written together with the event that tells of it, in one transaction."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from api.concurrency import UserConcurrency
from api.database import Database, commit
from api.errors import ApiError
from api.numbers import Numbers
from api.outbox import Outbox
from api.outbox_rows import ENDS_OF_SESSIONS, insert_waiting_end
from api.rows import execute, fetch_with
from store.events import Event, EventType, Person, encode, is_far_ahead, new_event

log = logging.getLogger(__name__)

_COMMIT_SECONDS = 3.0


@dataclass(slots=True)
class Action:
    """An action that has begun: its transaction, who acts, and the outbox rows it has written."""

    conn: Any
    actor: Person
    now: datetime  # the database's time, in milliseconds: no other clock counts for what is kept
    last: str | None = None  # id of the newest event of who acts
    told: list[int] = field(default_factory=list)
    afterwards: list[Callable[[], Awaitable[None]]] = field(default_factory=list)  # run once it is committed

    async def tell(self, type: EventType, object: Mapping[str, object], *, sid: str | None = None) -> Event:
        """Writes the event into the outbox; it exists exactly if the transaction commits."""
        event = new_event(type, self.actor, object, now=self.now, after=self.last)
        row_id = await insert_outbox(self.conn, event, sid, self.now)
        if type in ENDS_OF_SESSIONS:
            await insert_waiting_end(self.conn, row_id, event.actor.id, sid)
        self.told.append(row_id)
        self.last = event.id
        return event


class Actions:
    """Begins actions and brings them to their end."""

    def __init__(self, database: Database, outbox: Outbox, numbers: Numbers) -> None:
        self._database, self._outbox, self._numbers = database, outbox, numbers
        self._concurrency = UserConcurrency()
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def by(self, uid: int) -> AsyncIterator[Action]:
        """An action of this user. It commits at the end of the block, unless an error leaves it.

        Their actions wait for each other before a connection is taken: raises ApiError 429 or 503 when that is too long.
        The user's row is locked first, so that the actions of one user follow each other on however many processes: the ids of
        their outbox rows and events are in the order of their commits, and `now` is read after the one before has committed.
        """
        self._numbers.ensure_new()
        async with self._concurrency.slot(uid), self._database.transaction() as conn:
            async with self._database.writing():
                actor, now, last = await begin_by(conn, uid)
                if actor is None:
                    raise ApiError(401, "token-invalid", "the token's user is no more")
                if last is not None and is_far_ahead(last, now):
                    ahead = "the newest event of user %d, %s, is ahead of the database's clock, %s: ids come from the clock again"
                    log.error(ahead, uid, last, now)
                    await insert_event_from_ahead(conn, uid, last)
                    last = None
                action = Action(conn, actor, now, last)
                yield action
            await self._end(action)

    @asynccontextmanager
    async def by_somebody_new(self, username: str) -> AsyncIterator[Action]:
        """An action of somebody who has no row yet; the block inserts it and sets `actor`."""
        self._numbers.ensure_new()
        async with self._database.transaction() as conn:
            async with self._database.writing():
                action = Action(conn, Person(0, username), await begin(conn))
                yield action
            await self._end(action)

    async def _end(self, action: Action) -> None:
        # A client that leaves now must not leave the commit half known: the end goes on without it.
        task = asyncio.create_task(self._commit(action))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    async def _commit(self, action: Action) -> None:
        try:
            async with self._database.primary.answering(_COMMIT_SECONDS):
                gtid = await commit(action.conn)
        finally:
            # If it is unknown whether it was committed, the outbox finds out.
            self._outbox.wake(action.told)
        # From here on it is done, whatever becomes of the rest.
        if gtid:
            await self._database.wrote(action.actor.id, action.last or "", gtid)
        for then in action.afterwards:
            try:
                await then()
            except Exception:
                log.exception("what follows a commit failed; the commit stands")


async def begin(conn: Any) -> datetime:
    """Begins a transaction. The database's time then, in milliseconds, as tables and events keep it."""
    ((now,),) = await fetch_with(conn, "BEGIN", "SELECT UTC_TIMESTAMP(3)")
    return now.replace(tzinfo=UTC)  # type: ignore[no-any-return]


async def begin_by(conn: Any, uid: int) -> tuple[Person | None, datetime, str | None]:
    """Begins a transaction in which the user is locked; who that is, the database's time since, and their newest event's id."""
    # In one round trip. Each statement sees what was committed when it begins: the last one, all of who held the lock before.
    # Its time is also that of its own beginning.
    sql = (
        "BEGIN; SELECT id, username FROM users WHERE id = %s FOR UPDATE;"
        " SELECT UTC_TIMESTAMP(3), (SELECT event_id FROM last_events WHERE author = %s)"
    )
    async with conn.cursor() as cursor:
        await cursor.execute(sql, (uid, uid))
        await cursor.nextset()
        person = await cursor.fetchone()
        await cursor.nextset()
        now, last = await cursor.fetchone()
    return Person(*person) if person else None, now.replace(tzinfo=UTC), last


async def insert_event_from_ahead(conn: Any, author: int, event_id: str) -> None:
    """Notes the greatest id of an author, whose next ones are less: a primary that knows it has not been set back."""
    await execute(
        conn,
        "INSERT INTO events_from_ahead (author, event_id) VALUES (%s, %s)"
        " ON DUPLICATE KEY UPDATE event_id = GREATEST(event_id, VALUES(event_id))",
        author,
        event_id,
    )


async def insert_outbox(conn: Any, event: Event, sid: str | None, now: datetime) -> int:
    """The id of the new row. Notes that this is the newest event of its author."""
    async with conn.cursor() as cursor:
        await cursor.execute(
            "INSERT INTO last_events VALUES (%s, %s) ON DUPLICATE KEY UPDATE event_id = VALUES(event_id);"
            " INSERT INTO outbox (actor, event_id, type, sid, body, created_at) VALUES (%s, %s, %s, %s, %s, %s)",
            (
                event.actor.id,
                event.id,
                event.actor.id,
                event.id,
                event.type,
                sid,
                encode(
                    event
                ).decode(),  # MySQL keeps exactly these bytes: the connection is UTF-8 and the column binary
                now,
            ),
        )
        await cursor.nextset()
        return int(cursor.lastrowid)
