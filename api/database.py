"""MySQL as a whole: writes go to the primary, reads to the replica, and everybody reads what they have just written."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pymysql.constants.SERVER_STATUS import SERVER_STATUS_IN_TRANS

from api.meters import READS
from api.pool import FAILURES, DatabaseUnavailable, Pool
from api.rows import fetch_one
from api.settings import ApiSettings
from store.as_of import AsOf, Position
from store.timelines import Unknown, Wrote

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Query = Callable[Concatenate[Any, P], Awaitable[T]]

_READ_SECONDS = 2.0
_WRITE_SECONDS = 4.0
_OWN_WRITE_SECONDS = 0.05  # how long a reader waits on the replica for what they wrote
_GTID_SECONDS = (
    0.5  # for the second answer of one round trip, whose first one is there; a third of what a commit has left
)
_LATE_SECONDS = 2.0  # a replica further behind than this is not read
_LOOK_SECONDS = 1.0


class Database:
    """A primary and a replica, which may come and go while this lives."""

    def __init__(self, settings: ApiSettings, wrote: Wrote) -> None:
        self.primary, self.replica = Pool("primary", settings.mysql_primary), Pool("replica", settings.mysql_replica)
        self._wrote = wrote
        self.migrated = asyncio.Event()
        self.replica_is_late = True  # until it has been looked at: it may not have the tables yet

    async def __aenter__(self) -> Self:
        await self.primary.__aenter__()
        await self.replica.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.replica.__aexit__(kind, error, at)
        await self.primary.__aexit__(kind, error, at)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection to the primary, whose first statement must be one that begins a transaction: that saves a round trip.

        Who leaves it without a commit has changed nothing. It has no bound: what is asked of the server stands in `writing`, or in
        `answering` of the pool, so that no time-out of what goes before or after it falls on a commit.
        """
        async with self.primary.connection(None) as conn:
            try:
                yield conn
            finally:
                if not conn.closed and conn.get_transaction_status():
                    async with self.primary.answering(_WRITE_SECONDS):
                        await conn.rollback()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """What a transaction of a request asks of the primary, in 4 s. Raises DatabaseUnavailable when that is not enough."""
        async with self.primary.answering(_WRITE_SECONDS):
            yield

    async def wrote(self, uid: int, order: str, gtid: str) -> None:
        """Notes where the user's last commit is in the log, for their next reads; `order` grows with the user's commits."""
        with suppress(Unknown):
            await self._wrote.mark(uid, order, gtid)

    async def read(self, uid: int, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the query finds, with everything in it that `uid` has written: on the replica, or else on the primary.

        When only a replica that may be behind is left, what it has is taken; that it has nothing is not believed. Raises
        DatabaseUnavailable then, and when nothing answers.
        """
        try:
            gtid, may_be_behind = await self._wrote.last(uid), self.replica_is_late
        except Unknown:
            gtid, may_be_behind = None, True
        if not may_be_behind and self.replica.up:
            with suppress(DatabaseUnavailable):
                async with self.replica.connection(_READ_SECONDS) as conn:
                    if gtid is None or await reaches(conn, gtid, _OWN_WRITE_SECONDS):
                        found = await query(conn, *args, **kwargs)
                        READS.labels("replica").inc()
                        return found
        READS.labels("primary").inc()
        try:
            return await self.read_primary(query, *args, **kwargs)
        except DatabaseUnavailable:
            stale = await self.read_replica(query, *args, **kwargs)
            found = stale.regardless("an old row is better than none; that there is no row is not believed")
            if not found:
                raise
            return found

    async def read_primary(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the query finds on the primary, and nowhere else: what is decided by it, or kept. Raises DatabaseUnavailable."""
        async with self.primary.connection(_READ_SECONDS) as conn:
            return await query(conn, *args, **kwargs)

    async def read_replica(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> AsOf[T, Position]:
        """What the query finds on the replica, which may lack anything that was written lately. Raises DatabaseUnavailable."""
        async with self.replica.connection(_READ_SECONDS) as conn:
            return AsOf(await query(conn, *args, **kwargs), None, "the replica")

    async def watch_replica(self) -> None:
        """Runs for ever: every second, sees which server answers, and whether the replica gets to where the primary was."""
        place = ""
        while True:
            late = self.replica_is_late
            with suppress(DatabaseUnavailable):
                async with self.primary.connection(_READ_SECONDS, probe=True) as conn:
                    place = await select_place(conn)
            with suppress(DatabaseUnavailable):
                async with self.replica.connection(_LATE_SECONDS + 1, probe=True) as conn:
                    late = place != "" and not await reaches(conn, place, _LATE_SECONDS)
            if late != self.replica_is_late:
                log.info("the replica is %s", "late: reading the primary" if late else "up to date")
            self.replica_is_late = late
            await asyncio.sleep(_LOOK_SECONDS)


async def commit(conn: Any) -> str:
    """Commits. Returns GTIDs that contain it, learned in the same round trip; none if the server keeps none, or went right after.

    Only a commit that failed, or may have, is an error.
    """
    cursor = await conn.cursor()
    await cursor.execute(f"COMMIT; SELECT {'@@last_gtid' if conn.is_mariadb else '@@GLOBAL.gtid_executed'}")
    try:
        with suppress(*FAILURES):
            # Of its own: when the bound of the commit is over here, what was committed is committed all the same.
            async with asyncio.timeout(_GTID_SECONDS):
                await cursor.nextset()
                row = await cursor.fetchone()
                return str(row[0]) if row else ""
        return ""
    finally:
        # ProxySQL's answers to a statement that has others behind it still say that a transaction is open: it would be rolled
        # back, and the answer to that would decide whether a commit that was made is called one.
        conn.server_status &= ~SERVER_STATUS_IN_TRANS


async def select_place(conn: Any) -> str:
    """Everything that the server has committed, as GTIDs."""
    row = await fetch_one(
        conn, "SELECT @@GLOBAL.gtid_binlog_pos" if conn.is_mariadb else "SELECT @@GLOBAL.gtid_executed"
    )
    return str(row[0]) if row else ""


async def reaches(conn: Any, gtid: str, seconds: float) -> bool:
    """Whether the replica has this, now or within so long."""
    wait = "SELECT MASTER_GTID_WAIT(%s, %s)" if conn.is_mariadb else "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)"
    return await fetch_one(conn, wait, gtid, seconds) == (0,)
