"""The outbox: what was committed and not yet told to Kafka, told in the order of each author's actions.

Two paths lead out of it. A request wakes the publisher with the ids of the rows that it has just committed; the sweep, looked for
twice a second, takes what a crash, an outage or a full waiting line has left. Both lock rows, skip what another process holds, and
send a row only if no older row of its author is left behind.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from api import meters
from api.database import Database
from api.outbox_rows import (
    Row,
    begin_with_oldest,
    begin_with_rows,
    delete_and_commit,
    in_order,
    select_ids,
    select_nothing,
    select_present,
    select_waiting,
)
from api.pool import SESSION_SECONDS, DatabaseUnavailable
from store.broker import BrokerUnavailable, Publisher
from store.events import Record, record_of

log = logging.getLogger(__name__)

BATCH = 500
_LONGEST_LINE = 10_000  # rows to be told at once; what comes beyond waits for the sweep
_ANSWER_SECONDS = 10.0  # for MySQL, each time; for Kafka the publisher has a bound of its own
# While Kafka is waited for MySQL hears from us so often: a process that is frozen, or whose host is lost, is silent, and its locks
# are gone after pool.SESSION_SECONDS. A third of that, so that one answer may be late.
_HOLD_SECONDS = SESSION_SECONDS / 3
_WATCH_SECONDS = 1.0  # for one look
_FLUSH_SECONDS = 2.0
# One row read by primary key, while nothing waits. What two looks find is overdue: that is ten times what telling takes while all
# is well, and no clock is asked, which may have been ahead when the row was written.
_LOOK_SECONDS = 0.5
_HELD_SECONDS = 0.007  # about as long as another process needs to tell and delete an author's older row
_MOST_TRIES = 30
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class Outbox:
    """Tells Kafka. One task per process runs `run`; any number of processes do so on one database."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database, self._publisher = database, publisher
        self._tries: dict[int, int] = {}  # id of a row that waits -> how often it was held by an older one
        self._woken = asyncio.Event()
        self._overdue = False
        self.waiting, self.oldest_seconds = 0, 0.0  # as last counted; up to a bound

    def wake(self, row_ids: Iterable[int]) -> None:
        """Has these rows told soon. Never waits; when too many wait already, the sweep tells them."""
        for row_id in row_ids:
            if len(self._tries) < _LONGEST_LINE:
                self._tries[row_id] = 0
        self._woken.set()

    async def run(self) -> None:
        """Runs for ever; survives Kafka and MySQL being gone, at the start too."""
        await self._database.migrated.wait()
        pause = _FIRST_PAUSE
        while True:
            try:
                if self._overdue:
                    told, _ = await self._tell(None, "swept")
                    self._overdue = told > 0  # there may be more; what another process holds is its own to tell
                held = await self._tell_woken()
                pause = _FIRST_PAUSE
            except (DatabaseUnavailable, BrokerUnavailable) as error:
                meters.OUTBOX_FAILURES.inc()
                log.warning("events wait in the outbox, trying again in %.1f s: %s", pause, error)
                self._tries.clear()
                await asyncio.sleep(pause)
                pause, held = min(pause * 2, _LONGEST_PAUSE), False
            if held:
                await asyncio.sleep(_HELD_SECONDS)
            elif not self._overdue:
                await self._woken.wait()

    async def watch(self) -> None:
        """Runs for ever: counts what waits, also while `run` waits for Kafka, and has it swept when it is overdue."""
        await self._database.migrated.wait()
        before = None
        while True:
            with suppress(DatabaseUnavailable):
                async with self._database.primary.connection(_WATCH_SECONDS) as conn:
                    self.waiting, oldest, self.oldest_seconds = await select_waiting(conn)
                meters.OUTBOX_WAITING.set(self.waiting)
                meters.OUTBOX_OLDEST.set(self.oldest_seconds)
                if oldest is not None and oldest == before:
                    self._overdue = True
                    self._woken.set()
                before = oldest
            await asyncio.sleep(_LOOK_SECONDS)

    async def flush(self) -> None:
        """Tells what was woken last, for the end of a process; what does not work now is left to others."""
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._tell_woken()
        except (DatabaseUnavailable, BrokerUnavailable, TimeoutError) as error:
            log.warning("events are left in the outbox: %s", error)

    async def _tell_woken(self) -> bool:
        """Tells what requests have left; whether some of it is held by older rows and is to be tried again at once."""
        self._woken.clear()
        batch = sorted(self._tries)[:BATCH]
        if not batch:
            return False
        _, held = await self._tell(batch, "at once")
        for row_id in batch:
            tries = self._tries.pop(row_id) + 1
            if row_id in held and tries < _MOST_TRIES:
                self._tries[row_id] = tries
        if len(self._tries) > len(held):
            self._woken.set()
        return bool(held)

    async def _tell(self, row_ids: list[int] | None, path: str) -> tuple[int, set[int]]:
        """Tells these rows, or the oldest: how many were told, and which are to be tried again."""
        await self._publisher.connect()  # while Kafka is away no row is locked and no transaction open
        primary = self._database.primary
        async with self._database.transaction() as conn:
            async with primary.answering(_ANSWER_SECONDS):
                locked = await (begin_with_oldest(conn, BATCH) if row_ids is None else begin_with_rows(conn, row_ids))
                # What is there and was not locked, another process holds: for its own telling, or for a moment, in passing.
                held = await select_present(conn, set(row_ids or ()) - {row.id for row in locked})
                if not locked:
                    return 0, held
                asked_at = asyncio.get_running_loop().time()
                # Read after the locking: an older row of the same author was committed before the ones we hold.
                present = await select_ids(conn, {row.actor for row in locked}, locked[-1].id)
            rows = in_order(locked, present)
            if rows:
                await self._publish_held(conn, asked_at, [_record(row) for row in rows])
                for row in rows:
                    meters.OUTBOX_DELAY.labels(path).observe(_age(row.created_at))
                async with primary.answering(_ANSWER_SECONDS):
                    await delete_and_commit(conn, rows)
                meters.OUTBOX_TOLD.labels(path).inc(len(rows))
            return len(rows), held | {row.id for row in locked} - {row.id for row in rows}

    async def _publish_held(self, conn: Any, asked_at: float, records: Sequence[Record]) -> None:
        """Publishes, as long as the rows are held: with the transaction everything ends that is still to be sent.

        `asked_at` is before what MySQL answered last. Raises DatabaseUnavailable when the transaction is over, BrokerUnavailable.
        """
        if asyncio.get_running_loop().time() - asked_at > _HOLD_SECONDS:
            # We stood still: another process may have the rows, and have told them and what came after.
            await self._hold(conn)
        publishing = asyncio.create_task(self._publisher.publish(records))  # bounds itself
        try:
            while not (await asyncio.wait({publishing}, timeout=_HOLD_SECONDS))[0]:
                await self._hold(conn)
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        publishing.result()

    async def _hold(self, conn: Any) -> None:
        async with self._database.primary.answering(_HOLD_SECONDS):
            await select_nothing(conn)


def _record(row: Row) -> Record:
    return record_of(row.event_id, row.type, row.actor, row.body, row.sid)


def _age(since: datetime) -> float:
    return max(0.0, (datetime.now(UTC) - since.replace(tzinfo=UTC)).total_seconds())
