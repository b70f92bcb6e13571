"""MySQL as a whole: writes go to the primary, reads to the replica, and everybody reads what they have just written."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from api.meters import READS
from api.pool import FAILURES, DatabaseUnavailable, Pool
from api.rows import fetch_one
from api.settings import ApiSettings
from store.timelines import Unknown, Wrote

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Query = Callable[Concatenate[Any, P], Awaitable[T]]

_READ_SECONDS = 2.0
_WRITE_SECONDS = 4.0
_OWN_WRITE_SECONDS = 0.05  # how long a reader waits on the replica for what they wrote
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
    async def transaction(self, seconds: float | None = _WRITE_SECONDS, *, begin: bool = True) -> AsyncIterator[Any]:
        """A connection to the primary, as of its pool, with a transaction open. Who leaves it without a commit has changed nothing.

        Without `begin` the first statement must be one that begins it: that saves a round trip.
        """
        async with self.primary.connection(seconds) as conn:
            try:
                if begin:
                    await conn.begin()
                yield conn
            finally:
                if not conn.closed and conn.get_transaction_status():
                    async with self.primary.answering(_WRITE_SECONDS):
                        await conn.rollback()

    async def wrote(self, uid: int, gtid: str) -> None:
        """Notes where the user's last commit is in the log, for their next reads."""
        with suppress(Unknown):
            await self._wrote.mark(uid, gtid)

    async def read(self, uid: int, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the query finds, with everything in it that `uid` has written: on the replica, or else on the primary.

        When only a replica that may be behind is left, that is read. Raises DatabaseUnavailable when nothing answers.
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
        return await self.read_primary(query, *args, **kwargs)

    async def read_primary(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the query finds on the primary; on the replica if the primary is gone."""
        try:
            async with self.primary.connection(_READ_SECONDS) as conn:
                return await query(conn, *args, **kwargs)
        except DatabaseUnavailable:
            async with self.replica.connection(_READ_SECONDS) as conn:
                return await query(conn, *args, **kwargs)

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


def is_mariadb(conn: Any) -> bool:
    """Which of the two the server says it is: their GTIDs and the functions for them differ."""
    return "mariadb" in conn.get_server_info().lower()


async def commit(conn: Any) -> str:
    """Commits. Returns GTIDs that contain it, learned in the same round trip; none if the server keeps none, or went right after.

    Only a commit that failed, or may have, is an error.
    """
    cursor = await conn.cursor()
    await cursor.execute(f"COMMIT; SELECT {'@@last_gtid' if is_mariadb(conn) else '@@GLOBAL.gtid_executed'}")
    with suppress(*FAILURES):
        await cursor.nextset()
        row = await cursor.fetchone()
        return str(row[0]) if row else ""
    return ""


async def select_place(conn: Any) -> str:
    """Everything that the server has committed, as GTIDs."""
    row = await fetch_one(
        conn, "SELECT @@GLOBAL.gtid_binlog_pos" if is_mariadb(conn) else "SELECT @@GLOBAL.gtid_executed"
    )
    return str(row[0]) if row else ""


async def reaches(conn: Any, gtid: str, seconds: float) -> bool:
    """Whether the replica has this, now or within so long."""
    wait = "SELECT MASTER_GTID_WAIT(%s, %s)" if is_mariadb(conn) else "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)"
    return await fetch_one(conn, wait, gtid, seconds) == (0,)
