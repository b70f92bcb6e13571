"""Connections to one MySQL server, which give up early when it does not answer."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiomysql
from aiomysql import InterfaceError, InternalError, OperationalError

from api.rows import fetch_one
from api.settings import Dsn

log = logging.getLogger(__name__)

SIZE = 16
_ACQUIRE_SECONDS = 1.0
_REST_SECONDS = 5.0  # a server that did not answer is not asked for so long, unless a probe finds it well before

# The server ends a session that has said nothing for so long, and with it the transaction and the locks of a process that is
# frozen or whose host is lost: less than the 5 s for which anybody may be refused because of it. MySQL has no time-out of its own
# for a transaction that is idle. No transaction of ours is silent for longer than IDLE_SECONDS: see outbox.py.
SESSION_SECONDS = 4
# A connection that was idle for longer is not taken again, well before the server ends it.
IDLE_SECONDS = 2.0
# A server whose host is lost is noticed after 15 s by whoever waits for a statement without a bound: a migration.
_KEEPALIVE = {"TCP_KEEPIDLE": 6, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}

# Server and client errors that say "not now": shutting down, too many connections, read only, killed, time-outs, deadlocks,
# and no disk, memory or threads left.
NOT_NOW = {
    1021, 1026, 1030, 1037, 1038, 1040, 1041, 1042, 1043, 1044, 1045, 1047, 1049, 1053, 1080, 1114, 1129, 1135, 1152,
    1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1290, 1317, 1792, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2014,
    2027, 2055, 3024, 3032, 3572, 4031, 9001, 9002,
}  # fmt: skip
# ProxySQL could not reach the server behind it. It connects when the first statement comes, so this is what a connect is elsewhere.
_NOT_REACHED = {9001, 9002}
FAILURES = (OperationalError, InterfaceError, InternalError, OSError, TimeoutError)


class DatabaseUnavailable(Exception):
    """The server did not do it in time. If it was a commit, it is unknown whether it was done."""


class Pool:
    """Connections that are UTC, strict, READ COMMITTED and in autocommit. The server need not be there yet.

    At most SIZE at a time; the one that was used last is taken first. Not aiomysql's own pool: that connects under its one lock,
    and wakes nobody who waits when a connection comes back closed.
    """

    def __init__(self, name: str, dsn: Dsn) -> None:
        self.name, self._dsn, self._down_until = name, dsn, 0.0
        self._slots = asyncio.Semaphore(SIZE)
        self._idle: deque[tuple[float, Any]] = deque()  # since when, oldest first
        self._taken: set[Any] = set()
        self._is_mariadb: bool | None = None
        self._closed = False

    @property
    def up(self) -> bool:
        """False for a moment after the server did not answer."""
        return asyncio.get_running_loop().time() >= self._down_until

    @property
    def used(self) -> int:
        """How many connections are in use."""
        return len(self._taken)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._closed = True
        for conn in self._taken:
            conn.close()
        while self._idle:
            await _say_goodbye(self._idle.pop()[1])

    @asynccontextmanager
    async def connection(self, seconds: float | None, *, probe: bool = False) -> AsyncIterator[Any]:
        """A connection for at most so long. Raises DatabaseUnavailable when the server does not answer, then or within.

        When it can't be reached, or leaves a probe unanswered, everybody is refused at once, for a while or until a probe, which
        is never refused, has gone well. A statement that takes too long says nothing about the server: only its caller is refused.
        Who waits for somebody else meanwhile gives None, and asks the server in blocks of `answering`.
        """
        if not (self.up or probe):
            raise DatabaseUnavailable(f"{self.name} did not answer a moment ago")
        conn = await self._acquire()
        try:
            async with self.answering(seconds, probe=probe):
                yield conn
        finally:
            self._release(conn)
        if probe:
            self._down_until = 0.0

    @asynccontextmanager
    async def answering(self, seconds: float | None, *, probe: bool = False) -> AsyncIterator[None]:
        """What the server must answer within so long. Raises DatabaseUnavailable when it does not."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except FAILURES as error:
            raise self._judged(error, probe) from error
        except RuntimeError as error:
            if not _says_closed(error):
                raise
            raise DatabaseUnavailable(f"{self.name}: the server has ended the connection: {error!r:.300}") from error

    async def _acquire(self) -> Any:
        has_slot = False
        try:
            # The one bound of waiting and connecting: no call in here has a time-out of its own that could lose this one.
            async with asyncio.timeout(_ACQUIRE_SECONDS):
                await self._slots.acquire()
                has_slot = True
                conn = await self._idle_connection() or await self._connect()
        except BaseException as error:
            if has_slot:
                self._slots.release()
            if not isinstance(error, FAILURES):
                raise
            if not has_slot:
                raise DatabaseUnavailable(f"all {SIZE} connections to {self.name} are busy") from error
            self._rest()
            raise DatabaseUnavailable(f"{self.name}: {error!r:.300}") from error
        self._taken.add(conn)
        return conn

    async def _idle_connection(self) -> Any:
        """The one that was used last, None if there is none that is still good."""
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while self._idle and self._idle[0][0] < oldest:
            await _say_goodbye(self._idle.popleft()[1])
        while self._idle:
            conn = self._idle.pop()[1]
            if _is_open(conn):
                return conn
            conn.close()
        return None

    async def _connect(self) -> Any:
        conn = await aiomysql.connect(
            host=self._dsn.host,
            port=self._dsn.port,
            user=self._dsn.user,
            password=self._dsn.password,
            db=self._dsn.database,
            charset="utf8mb4",
            autocommit=True,
            # With one of its own aiomysql connects in asyncio.wait_for, which on Python 3.11 loses a cancellation that comes in
            # the moment in which it ends: the handshake would then be awaited without any bound.
            connect_timeout=None,
            init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            # Goes into `SET sql_mode=...` as it stands, so that one round trip sets all of them. All are known to ProxySQL: one
            # that is not would tie each session to a server connection.
            sql_mode="'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00', innodb_lock_wait_timeout=2,"
            f" wait_timeout={SESSION_SECONDS}, net_read_timeout={SESSION_SECONDS}, net_write_timeout={SESSION_SECONDS}",
        )
        try:
            _set_keepalive(conn)
            if self._is_mariadb is None:
                row = await fetch_one(conn, "SELECT VERSION()")
                self._is_mariadb = row is not None and "mariadb" in str(row[0]).lower()
        except BaseException:
            conn.close()
            raise
        conn.is_mariadb = self._is_mariadb
        return conn

    def _release(self, conn: Any) -> None:
        """Never fails and never waits: what was committed stays committed."""
        self._taken.discard(conn)
        if not conn.closed and (self._closed or conn.get_transaction_status()):
            conn.close()
        if not conn.closed:
            self._idle.append((asyncio.get_running_loop().time(), conn))
        self._slots.release()

    def _rest(self) -> None:
        self._down_until = asyncio.get_running_loop().time() + _REST_SECONDS

    def _judged(self, error: Exception, probe: bool) -> Exception:
        """A wrong statement is no outage: that error stays what it is."""
        code = error.args[0] if type(error) is OperationalError and error.args else None
        if code is not None and code not in NOT_NOW:
            return error
        if code in _NOT_REACHED or (probe and isinstance(error, TimeoutError)):
            self._rest()
        return DatabaseUnavailable(f"{self.name}: {error!r:.300}")


def _is_open(conn: Any) -> bool:
    """Whether the server has not ended it while it was idle; an end that is still under way shows at the next statement."""
    return not (conn.closed or conn._reader.at_eof() or conn._reader.exception() or conn._reader.eof_received)


async def _say_goodbye(conn: Any) -> None:
    """Ends an idle connection so that the server does not note it as broken off, if that has not ended it first."""
    try:
        if _is_open(conn):
            await conn.ensure_closed()
    except FAILURES:
        pass
    except RuntimeError as error:
        if not _says_closed(error):
            raise
    finally:
        conn.close()


def _says_closed(error: RuntimeError) -> bool:
    """uvloop's word for a write to a connection that the other side has ended; asyncio's own says nothing there."""
    return "the handler is closed" in str(error)


def _set_keepalive(conn: Any) -> None:
    sock = conn._writer.transport.get_extra_info("socket")
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # not every system has each
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
