"""A process of ours that stands still, or whose host is lost, keeps nothing locked for long, and uses no lock it has lost."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from api.migrate import migrate
from api.pool import IDLE_SECONDS, SESSION_SECONDS, DatabaseUnavailable, Pool
from api.rows import execute, fetch_all, fetch_one
from api.settings import ApiSettings, Dsn
from tests.integration.api_outages import PRIMARY, admin, admin_of
from tests.integration.api_support import Api, make_settings, running_api, until

_SOON = 30.0  # seconds; without a bound it would be eight hours


@pytest.fixture
async def own(mysql: dict[str, Any], tmp_path: Path) -> AsyncIterator[Api]:
    """An API on a database of its own, which tells nothing unless it is told to."""
    dsn = replace(admin_of(mysql[PRIMARY]), database=f"frozen_{uuid4().hex[:8]}")
    async with admin(mysql[PRIMARY]) as conn, conn.cursor() as cursor:
        await cursor.execute(f"CREATE DATABASE {dsn.database}")
    named = {"MYSQL_PRIMARY": text_of(dsn), "MYSQL_REPLICA": text_of(dsn)}
    settings = make_settings(tmp_path, named, redis_url=mysql["redis"].env["REDIS_URL"])
    async with running_api(settings, outbox=False) as api:
        yield api


def text_of(dsn: Dsn) -> str:
    return f"mysql://{dsn.user}:{dsn.password}@{dsn.host}:{dsn.port}/{dsn.database}"


@asynccontextmanager
async def standing_still(what: str, settings: ApiSettings, uid: int = 0) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another API process, which has stopped in the middle of this."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.api_frozen", what, text_of(settings.mysql_primary), str(uid)),
        stdout=asyncio.subprocess.PIPE,
    )
    stat = Path(f"/proc/{process.pid}/stat")
    try:
        await until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", _SOON)
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def goes_on(process: asyncio.subprocess.Process) -> list[bytes]:
    """What it says until its end."""
    os.kill(process.pid, signal.SIGCONT)
    said, _ = await asyncio.wait_for(process.communicate(), _SOON)
    return said.split()


async def test_a_connection_ends_before_others_have_waited_long_and_is_not_used_again_near_its_end(own: Api) -> None:
    async with own.parts.database.primary.connection(5) as conn:
        named = "@@SESSION.wait_timeout, @@SESSION.net_read_timeout, @@SESSION.net_write_timeout"
        assert await fetch_one(conn, f"SELECT {named}") == (SESSION_SECONDS,) * 3

    assert IDLE_SECONDS <= SESSION_SECONDS / 2
    assert SESSION_SECONDS < 5


@pytest.mark.parametrize("when", ["before telling", "while telling"])
async def test_the_events_of_authors_whose_rows_a_frozen_process_holds_are_told_by_another_and_not_by_it_when_it_goes_on(
    own: Api, when: str
) -> None:
    bob = await own.person()
    assert (await own.post(bob, "first")).status == 201
    async with standing_still(when, own.parts.settings) as frozen:
        assert (await own.post(bob, "second")).status == 201
        assert own.publisher.events(bob.id) == []
        end = time.monotonic() + _SOON
        while len(own.publisher.events(bob.id)) < 3:
            assert time.monotonic() < end, "what a frozen process holds is held for ever"
            await own.parts.outbox._tell(None, "swept")

        assert [event["object"].get("text") for event in own.publisher.events(bob.id)] == [None, "first", "second"]
        assert await goes_on(frozen) == [b"REFUSED"]


async def test_somebody_whose_action_a_frozen_process_has_begun_acts_through_another(own: Api) -> None:
    bob = await own.person()
    async with standing_still("acting", own.parts.settings, bob.id) as frozen:
        end = time.monotonic() + _SOON
        while (await own.post(bob, "through the other")).status != 201:
            assert time.monotonic() < end, "a user whom a frozen process has locked cannot act"

        assert await goes_on(frozen) == [b"REFUSED"]


async def test_another_process_migrates_when_the_one_that_had_begun_is_frozen(own: Api) -> None:
    async with standing_still("migrating", own.parts.settings):
        async with asyncio.timeout(2 * _SOON):
            async with Pool("primary", own.parts.settings.mysql_primary) as pool:
                await migrate(pool)


async def test_rows_are_held_while_kafka_takes_longer_than_a_session_may_be_silent(own: Api) -> None:
    bob = await own.person()
    waiting, others = asyncio.Event(), 0

    async def slowly() -> None:
        nonlocal others
        waiting.set()
        async with own.parts.database.primary.connection(30) as conn:
            for _ in range(2 * SESSION_SECONDS):  # each a second by MySQL's own clock
                await fetch_one(conn, "SELECT SLEEP(1)")
                free = await fetch_all(conn, "SELECT id FROM outbox FOR UPDATE SKIP LOCKED")
                others += len(free)

    own.publisher.before = slowly
    told, held = await own.parts.outbox._tell(None, "swept")

    assert waiting.is_set()
    assert (told, held, others) == (1, set(), 0)
    assert len(own.publisher.events(bob.id)) == 1


async def test_a_process_that_was_slow_before_it_tells_asks_whether_it_still_has_its_rows(own: Api) -> None:
    bob = await own.person()
    async with own.parts.database.transaction() as conn, own.parts.database.primary.connection(5) as other:
        row = await fetch_one(conn, "SELECT CONNECTION_ID()")
        await execute(other, f"KILL {row[0] if row else 0}")
        with pytest.raises(DatabaseUnavailable):
            await own.parts.outbox._publish_held(conn, asyncio.get_running_loop().time() - SESSION_SECONDS, [])

    assert own.publisher.events(bob.id) == []
