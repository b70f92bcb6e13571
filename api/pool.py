"""Connections to one MySQL server, which give up early when it does not answer."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiomysql
from aiomysql import InterfaceError, InternalError, OperationalError

from api.settings import Dsn

log = logging.getLogger(__name__)

_SIZE = 16
_ACQUIRE_SECONDS = 1.0
_RECYCLE_SECONDS = 1800
_REST_SECONDS = 5.0  # a server that did not answer is not asked for so long, unless a probe finds it well before

# Server and client errors that say "not now": shutting down, too many connections, read only, killed, time-outs, deadlocks,
# and no disk, memory or threads left.
NOT_NOW = {
    1021, 1026, 1030, 1037, 1038, 1040, 1041, 1042, 1043, 1044, 1045, 1047, 1049, 1053, 1080, 1114, 1129, 1135, 1152,
    1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1290, 1317, 1792, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2014,
    2027, 2055, 3024, 3032, 3572, 4031,
}  # fmt: skip
FAILURES = (OperationalError, InterfaceError, InternalError, OSError, TimeoutError)


class DatabaseUnavailable(Exception):
    """The server did not do it in time. If it was a commit, it is unknown whether it was done."""


class Pool:
    """Connections that are UTC, strict, READ COMMITTED and in autocommit. The server need not be there yet."""

    def __init__(self, name: str, dsn: Dsn) -> None:
        self.name, self._dsn, self._down_until = name, dsn, 0.0
        self._pool: Any = None

    @property
    def up(self) -> bool:
        """False for a moment after the server did not answer."""
        return asyncio.get_running_loop().time() >= self._down_until

    @property
    def used(self) -> int:
        """How many connections are in use."""
        return int(self._pool.size - self._pool.freesize)

    async def __aenter__(self) -> Self:
        self._pool = await aiomysql.create_pool(
            minsize=0,
            maxsize=_SIZE,
            pool_recycle=_RECYCLE_SECONDS,
            host=self._dsn.host,
            port=self._dsn.port,
            user=self._dsn.user,
            password=self._dsn.password,
            db=self._dsn.database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=_ACQUIRE_SECONDS,
            init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            # Goes into `SET sql_mode=...` as it stands, so that one round trip sets all of them.
            sql_mode="'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00', sql_notes=0, innodb_lock_wait_timeout=2",
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._pool.terminate()
        await self._pool.wait_closed()

    @asynccontextmanager
    async def connection(self, seconds: float | None, *, probe: bool = False) -> AsyncIterator[Any]:
        """A connection for at most so long. Raises DatabaseUnavailable when the server does not answer, then or within.

        After that everybody is refused at once, for a while or until a probe, which is never refused, has gone well.
        Who waits for somebody else meanwhile gives None, and asks the server in blocks of `answering`.
        """
        if not (self.up or probe):
            raise DatabaseUnavailable(f"{self.name} did not answer a moment ago")
        conn = await self._acquire()
        try:
            async with self.answering(seconds):
                yield conn
        finally:
            self._pool.release(conn)
        if probe:
            self._down_until = 0.0

    @asynccontextmanager
    async def answering(self, seconds: float | None) -> AsyncIterator[None]:
        """What the server must answer within so long. Raises DatabaseUnavailable when it does not."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except FAILURES as error:
            raise self._judged(error) from error

    async def _acquire(self) -> Any:
        try:
            # The pool connects while it holds its lock, and its own time-out ends before the handshake.
            async with asyncio.timeout(_ACQUIRE_SECONDS):
                return await self._pool.acquire()
        except FAILURES as error:
            if isinstance(error, TimeoutError) and self.used >= _SIZE:
                raise DatabaseUnavailable(f"all {_SIZE} connections to {self.name} are busy") from error
            self._rest()
            raise DatabaseUnavailable(f"{self.name}: {error!r:.300}") from error

    def _rest(self) -> None:
        self._down_until = asyncio.get_running_loop().time() + _REST_SECONDS

    def _judged(self, error: Exception) -> Exception:
        """A wrong statement is no outage: that error stays what it is."""
        if type(error) is OperationalError and error.args[0] not in NOT_NOW:
            return error
        if isinstance(error, TimeoutError):
            self._rest()
        return DatabaseUnavailable(f"{self.name}: {error!r:.300}")
