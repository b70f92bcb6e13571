"""Which errors of MySQL mean that it cannot be had now, and that no connection, and no wait for one, is ever lost."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomysql
import pytest
from aiomysql import InterfaceError, InternalError, OperationalError
from pymysql.constants.SERVER_STATUS import SERVER_STATUS_AUTOCOMMIT, SERVER_STATUS_IN_TRANS

from api import pool as pools
from api.pool import SIZE, DatabaseUnavailable, Pool
from api.settings import Dsn

_NOWHERE = Dsn("127.0.0.1", 1, "u", "p", "d")


@pytest.mark.parametrize(
    "error",
    [
        *(OperationalError(code, "full") for code in (1021, 1026, 1030, 1037, 1038, 1041, 1114, 1135, 1203, 1226)),
        OperationalError(1205, "Lock wait timeout exceeded"),
        OperationalError(2013, "Lost connection"),
        InterfaceError(0, "not connected"),
        InternalError("Packet sequence number wrong"),
        ConnectionResetError(),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.args[0] if error.args else ''}",
)
async def test_a_server_that_has_no_room_or_is_gone_is_unavailable_and_asked_again(error: Exception) -> None:
    pool = Pool("primary", _NOWHERE)
    with pytest.raises(DatabaseUnavailable):
        async with pool.answering(1):
            raise error

    assert pool.up


@pytest.mark.parametrize("code", [9001, 9002])
async def test_a_server_that_proxysql_cannot_reach_is_left_alone_for_a_while(code: int) -> None:
    pool = Pool("primary", _NOWHERE)
    with pytest.raises(DatabaseUnavailable):
        async with pool.answering(1):
            raise OperationalError(code, "Max connect timeout reached while reaching hostgroup 10 after 1000ms")

    assert not pool.up


async def test_a_wrong_statement_stays_what_it_is() -> None:
    pool = Pool("primary", _NOWHERE)
    with pytest.raises(OperationalError):
        async with pool.answering(1):
            raise OperationalError(1054, "Unknown column")


async def test_a_statement_that_takes_too_long_says_nothing_about_the_server() -> None:
    pool = Pool("primary", _NOWHERE)
    with pytest.raises(DatabaseUnavailable):
        async with pool.answering(0):
            await asyncio.sleep(10)

    assert pool.up


async def test_a_server_that_leaves_a_probe_unanswered_is_left_alone_until_one_is_answered(fake: "FakeServer") -> None:
    pool = Pool("primary", _NOWHERE)
    with pytest.raises(DatabaseUnavailable):
        async with pool.connection(0, probe=True):
            await asyncio.sleep(10)
    assert not pool.up
    with pytest.raises(DatabaseUnavailable):
        async with pool.connection(1):
            raise AssertionError("it was asked")

    async with pool.connection(1, probe=True):
        pass

    assert pool.up


async def test_a_connection_that_comes_back_closed_makes_room_for_who_waits(fake: "FakeServer") -> None:
    pool = Pool("primary", _NOWHERE)
    taken, leave, closed = asyncio.Semaphore(0), asyncio.Event(), 0

    async def hold() -> None:
        nonlocal closed
        async with pool.connection(None) as conn:
            taken.release()
            await leave.wait()
            conn.close()
            closed += 1

    holders = [asyncio.create_task(hold()) for _ in range(SIZE)]
    for _ in holders:
        await taken.acquire()
    waiting = asyncio.create_task(pool._acquire())
    await asyncio.sleep(0)
    leave.set()

    assert (await waiting) not in fake.closed
    assert closed == SIZE
    await asyncio.gather(*holders)
    assert pool.used == 1


async def test_all_in_use_is_said_so_and_says_nothing_about_the_server(
    fake: "FakeServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_ACQUIRE_SECONDS", 0.05)
    pool = Pool("primary", _NOWHERE)
    for _ in range(SIZE):
        await pool._acquire()

    with pytest.raises(DatabaseUnavailable, match="busy"):
        async with pool.connection(1):
            raise AssertionError("there were more than may be")

    assert pool.up


async def test_the_connection_used_last_is_taken_first_and_one_that_was_idle_too_long_never_again(
    fake: "FakeServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool("primary", _NOWHERE)
    first, second = await pool._acquire(), await pool._acquire()
    pool._release(first)
    pool._release(second)
    async with pool.connection(1) as conn:
        assert conn is second

    monkeypatch.setattr(pools, "IDLE_SECONDS", -1.0)
    async with pool.connection(1) as conn:
        assert conn not in (first, second)
    assert {first, second} <= fake.closed


async def test_connections_that_the_server_ended_while_this_process_stood_still_end_nothing_else(
    fake: "FakeServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop closes a transport whose other side has gone, and raises a RuntimeError of its own at the next write."""
    closed = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    async def refused() -> None:
        raise closed

    pool = Pool("primary", _NOWHERE)
    seen, unseen = await pool._acquire(), await pool._acquire()
    seen._reader.is_at_end = True
    for conn in (seen, unseen):
        monkeypatch.setattr(conn, "ensure_closed", refused)
        pool._release(conn)
    monkeypatch.setattr(pools, "IDLE_SECONDS", -1.0)

    async with pool.connection(1) as conn:
        assert conn not in (seen, unseen)
    with pytest.raises(DatabaseUnavailable, match="has ended the connection"):
        async with pool.answering(1):
            raise closed
    with pytest.raises(RuntimeError, match="another"):
        async with pool.answering(1):
            raise RuntimeError("another fault")


async def test_a_connection_that_the_server_has_ended_or_that_is_in_a_transaction_is_never_given_to_the_next(
    fake: "FakeServer",
) -> None:
    pool = Pool("primary", _NOWHERE)
    async with pool.connection(1) as ended:
        pass
    ended._reader.is_at_end = True
    async with pool.connection(1) as conn:
        assert conn is not ended
        conn.server_status |= SERVER_STATUS_IN_TRANS

    async with pool.connection(1) as other:
        assert other is not conn
    assert conn in fake.closed


async def test_which_of_the_two_flavours_a_server_is_it_says_itself_and_no_handshake_of_a_proxy(
    fake: "FakeServer",
) -> None:
    async with Pool("primary", _NOWHERE).connection(1) as conn:
        assert conn.get_server_info() == "8.4.0"
        assert conn.is_mariadb


async def test_however_acquires_are_cancelled_none_is_left_and_every_place_comes_back(
    fake: "FakeServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_ACQUIRE_SECONDS", 0.01)
    pool = Pool("primary", _NOWHERE)
    chance = random.Random(1)
    fake.delay = lambda: chance.choice([0, 0.001, 0.0095, 0.01, 0.0105, 0.02])

    async def one() -> None:
        await asyncio.sleep(chance.uniform(0, 0.01))
        try:
            async with pool.connection(0.01, probe=True) as conn:
                await asyncio.sleep(fake.delay())
                if chance.random() < 0.2:
                    conn.close()
        except DatabaseUnavailable:
            pass

    for _ in range(20):
        tasks = [asyncio.create_task(one()) for _ in range(3 * SIZE)]
        for task in tasks[::3]:
            asyncio.get_running_loop().call_later(chance.uniform(0, 0.02), task.cancel)
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks, return_exceptions=True)

    assert pool.used == 0
    assert pool._slots._value == SIZE


async def test_no_acquire_from_a_server_that_accepts_and_is_silent_lasts_longer_than_its_second() -> None:
    """A second of waiting that ends in the moment in which the connecting begins must not be forgotten."""
    async with silent_server() as dsn:
        ended = 0

        async def one(pool: Pool, delay: float) -> None:
            nonlocal ended
            await asyncio.sleep(delay)
            try:
                async with pool.connection(2, probe=True):
                    raise AssertionError("it did not say anything")
            except DatabaseUnavailable:
                ended += 1

        asked = [
            asyncio.create_task(one(pool, random.uniform(0, 0.02)))
            for pool in (Pool("primary", dsn) for _ in range(20))
            for _ in range(3 * SIZE)  # those who wait for a place get it when their own second is nearly over
        ]
        await asyncio.wait(asked, timeout=30)
        for task in asked:
            task.cancel()
        assert ended == len(asked)


@asynccontextmanager
async def silent_server() -> AsyncIterator[Dsn]:
    """It takes every connection and says nothing."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0, backlog=1000)
    yield Dsn("127.0.0.1", server.sockets[0].getsockname()[1], "u", "p", "d")
    server.close()


class FakeReader:
    def __init__(self) -> None:
        self.is_at_end, self.eof_received = False, False

    def at_eof(self) -> bool:
        return self.is_at_end

    def exception(self) -> None:
        return None


class FakeConnection:
    """What the pool sees of a connection of aiomysql."""

    def __init__(self, server: "FakeServer") -> None:
        self._server, self._reader = server, FakeReader()
        self.closed, self.server_status, self.is_mariadb = False, SERVER_STATUS_AUTOCOMMIT, False

    def close(self) -> None:
        self.closed = True
        self._server.closed.add(self)

    async def ensure_closed(self) -> None:
        self.close()

    def get_server_info(self) -> str:
        return "8.4.0"

    def get_transaction_status(self) -> bool:
        return bool(self.server_status & SERVER_STATUS_IN_TRANS)


class FakeServer:
    """Gives connections after a delay."""

    def __init__(self) -> None:
        self.closed: set[FakeConnection] = set()
        self.delay: Any = lambda: 0

    async def connect(self, *, connect_timeout: float | None, **_: object) -> FakeConnection:
        assert connect_timeout is None, "aiomysql's own time-out can lose the cancellation by another"
        await asyncio.sleep(self.delay())
        return FakeConnection(self)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    server = FakeServer()
    monkeypatch.setattr(aiomysql, "connect", server.connect)
    monkeypatch.setattr(pools, "_set_keepalive", lambda _: None)

    async def version(*_: object) -> tuple[str]:
        return ("11.4.2-MariaDB",)

    monkeypatch.setattr(pools, "fetch_one", version)
    return server
