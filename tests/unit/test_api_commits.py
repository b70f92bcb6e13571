"""What was committed is answered as done, whatever happens to the connection, to Redis or to the time after the commit."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiomysql import OperationalError
from pymysql.constants.SERVER_STATUS import SERVER_STATUS_AUTOCOMMIT, SERVER_STATUS_IN_TRANS

from api import actions, database
from api.actions import Actions
from api.database import Database
from api.pool import DatabaseUnavailable, Pool
from api.settings import Dsn
from store.events import Person
from store.timelines import Unknown

_OPEN = (
    SERVER_STATUS_AUTOCOMMIT | SERVER_STATUS_IN_TRANS
)  # 3, and 11 with more results behind: what ProxySQL says after COMMIT


class Connection:
    """Behind ProxySQL: the status after `COMMIT; SELECT ...` says that a transaction is open. `broken` fails what comes next."""

    def __init__(self) -> None:
        self.closed, self.is_mariadb, self.server_status = False, False, _OPEN
        self.said: list[str] = []
        self.broken: Exception | None = None
        self.slow = 0.0

    async def cursor(self) -> "Connection":
        return self

    async def execute(self, sql: str, *_: object) -> None:
        self.said.append(sql)
        await asyncio.sleep(self.slow)
        if self.broken:
            raise self.broken

    async def nextset(self) -> None:
        self.server_status = _OPEN

    async def fetchone(self) -> tuple[str]:
        return ("uuid:1-5",)

    async def rollback(self) -> None:
        await self.execute("ROLLBACK")

    async def begin(self) -> None:
        await self.execute("BEGIN")

    def get_transaction_status(self) -> bool:
        return bool(self.server_status & SERVER_STATUS_IN_TRANS)

    def close(self) -> None:
        self.closed = True


class Outbox:
    def __init__(self) -> None:
        self.woken: list[int] = []

    def wake(self, rows: list[int]) -> None:
        self.woken += rows


class Numbers:
    def ensure_new(self) -> None:
        pass


class Wrote:
    """Redis as it is told to be."""

    def __init__(self) -> None:
        self.does: Callable[[], Any] = lambda: None

    async def mark(self, *_: object) -> None:
        self.does()


@pytest.fixture
def conn() -> Connection:
    return Connection()


@pytest.fixture
def wrote() -> Wrote:
    return Wrote()


@pytest.fixture
def acting(conn: Connection, wrote: Wrote, monkeypatch: pytest.MonkeyPatch) -> Actions:
    class Settings:
        mysql_primary = mysql_replica = Dsn("127.0.0.1", 1, "u", "p", "d")

    @asynccontextmanager
    async def connection(pool: Pool, seconds: float | None, **_: object) -> AsyncIterator[Connection]:
        async with pool.answering(seconds):
            yield conn

    async def begin_by(*_: object) -> tuple[Person, datetime, None]:
        return Person(7, "anna"), datetime.now(UTC), None

    monkeypatch.setattr(Pool, "connection", connection)
    monkeypatch.setattr(actions, "begin_by", begin_by)
    return Actions(Database(Settings, wrote), Outbox(), Numbers())  # type: ignore[arg-type]


async def test_after_a_commit_nothing_is_rolled_back_whatever_a_proxy_says_of_transactions(
    acting: Actions, conn: Connection
) -> None:
    async with acting.by(7):
        pass

    assert conn.said == ["COMMIT; SELECT @@GLOBAL.gtid_executed"]


async def test_a_commit_stands_when_the_connection_breaks_right_after_it(acting: Actions, conn: Connection) -> None:
    async with acting.by(7) as action:

        async def breaks() -> None:
            conn.broken = OperationalError(2013, "Lost connection to MySQL server during query")

        action.afterwards.append(breaks)


@pytest.mark.parametrize("error", [Unknown("Redis"), OSError("gone"), TimeoutError(), RuntimeError("ours")])
async def test_a_commit_stands_and_the_rest_is_done_when_what_follows_it_fails(
    acting: Actions, wrote: Wrote, error: Exception
) -> None:
    done: list[str] = []

    def fails() -> None:
        raise error

    async with acting.by(7) as action:

        async def then_fails() -> None:
            raise error

        async def then_is_done() -> None:
            done.append("it")

        action.afterwards += [then_fails, then_is_done]
        wrote.does = fails if isinstance(error, Unknown) else wrote.does

    assert done == ["it"]


async def test_the_time_of_a_request_ends_no_commit_and_nothing_after_it(
    acting: Actions, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_WRITE_SECONDS", 0.05)
    conn.slow = 0.2
    async with acting.by(7) as action:

        async def slow() -> None:
            await asyncio.sleep(0.2)

        action.afterwards.append(slow)


async def test_a_commit_whose_answer_is_lost_is_unknown_and_told_to_nobody_as_done(
    acting: Actions, conn: Connection
) -> None:
    conn.broken = OperationalError(2013, "Lost connection to MySQL server during query")
    with pytest.raises(DatabaseUnavailable):
        async with acting.by(7) as action:
            action.told.append(5)

    assert acting._outbox.woken == [5]  # type: ignore[attr-defined]


async def test_a_server_that_says_it_has_committed_and_then_nothing_has_committed(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the commit stands in the log is not known then: the bound of that must not fall on the commit."""

    async def hang() -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(conn, "nextset", hang)
    monkeypatch.setattr(database, "_GTID_SECONDS", 0.01)

    async with asyncio.timeout(30):
        assert await database.commit(conn) == ""
