"""One clock counts for what is kept, the database's; and one that was ahead for a moment leaves no mark."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api import actions
from api.numbers import proof_of, select_given
from api.rows import execute, fetch_all, fetch_one
from api.settings import ApiSettings
from store.events import first_id
from store.highest import Highest
from tests.integration.api_support import Api, Person, api, running_api, settings, until

__all__ = ["api", "settings"]

DAY = timedelta(days=1)


async def last_id(api: Api, person: Person) -> str:
    async with api.parts.database.primary.connection(5) as conn:
        row = await fetch_one(conn, "SELECT event_id FROM last_events WHERE author = %s", person.id)
    assert row
    return str(row[0])


async def now_of(api: Api) -> datetime:
    async with api.parts.database.primary.connection(5) as conn:
        row = await fetch_one(conn, "SELECT UTC_TIMESTAMP(3)")
    assert row
    return row[0].replace(tzinfo=UTC)  # type: ignore[no-any-return]


def is_of(id: str, low: datetime, high: datetime) -> bool:
    return first_id(low) <= id < first_id(high + timedelta(milliseconds=1))


@pytest.fixture
def primary_ahead(monkeypatch: pytest.MonkeyPatch) -> "Callable[[timedelta], Any]":
    """A primary whose clock is wrong for a while, as far as actions can see."""

    @asynccontextmanager
    async def ahead(by: timedelta) -> AsyncIterator[None]:
        def first_setting_the_clock(begin: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def wrapped(conn: Any, *args: Any) -> Any:
                await execute(conn, "SET timestamp = UNIX_TIMESTAMP(SYSDATE(3)) + %s", by.total_seconds())
                try:
                    return await begin(conn, *args)
                finally:
                    await execute(conn, "SET timestamp = DEFAULT")

            return wrapped

        with monkeypatch.context() as patched:
            for name in ("begin", "begin_by"):
                patched.setattr(actions, name, first_setting_the_clock(getattr(actions, name)))
            yield

    return ahead


async def test_the_clock_of_an_api_host_leaves_no_mark_in_ids(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    bob, amy = await api.person(), await api.person()
    before, real = await now_of(api), time.time_ns
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: real() + 86_400 * 10**9)
        assert (await api.post(bob, "while the clock is a day ahead")).status == 201
    assert (await api.post(amy, "the same process, the clock is right again")).status == 201

    for person in (bob, amy):
        assert is_of(await last_id(api, person), before, await now_of(api))


async def test_everything_that_an_action_keeps_has_the_time_of_the_database(
    api: Api, primary_ahead: Callable[[timedelta], Any]
) -> None:
    low = await now_of(api) + DAY
    async with primary_ahead(DAY):
        person = await api.person()
        posted = await api.call(
            "POST", "/v1/posts", {"text": "x"}, token=person.token, headers={"Idempotency-Key": "one"}
        )
    high = await now_of(api) + DAY
    await until(lambda: len(api.publisher.events(person.id)) == 2)
    async with api.parts.database.primary.connection(5) as conn:
        kept = {}
        for table, column, whose in (
            ("users", "created_at", "id"),
            ("sessions", "created_at", "user_id"),
            ("posts", "created_at", "author"),
            ("post_keys", "at", "user_id"),
        ):
            sql = f"SELECT {column} FROM {table} WHERE {whose} = %s"  # noqa: S608
            kept[table] = [row[0].replace(tzinfo=UTC) for row in await fetch_all(conn, sql, person.id)]
        life = timedelta(seconds=api.parts.settings.refresh_life)
        expire = await fetch_all(conn, "SELECT expires_at FROM sessions WHERE user_id = %s", person.id)
        kept["expiry"] = [row[0].replace(tzinfo=UTC) - life for row in expire]
    kept["events"] = [
        datetime.fromisoformat(event["at"].replace("Z", "+00:00")) for event in api.publisher.events(person.id)
    ]

    assert posted.status == 201
    for where, times in kept.items():
        assert times and all(low <= at <= high for at in times), (where, times, low, high)
    assert is_of(posted.body["event_id"], low, high)


async def test_the_time_of_an_action_is_read_after_the_one_before_has_committed(api: Api) -> None:
    person, primary = await api.person(), api.parts.database.primary
    async with primary.connection(30) as holding, primary.connection(30) as conn:
        await holding.begin()
        await execute(holding, "SELECT id FROM users WHERE id = %s FOR UPDATE", person.id)
        beginning = asyncio.create_task(actions.begin_by(conn, person.id))
        while not await is_waiting(api, conn):
            assert not beginning.done()
        released = await now_of(api)
        await holding.rollback()
        _, now, _ = await beginning
        await conn.rollback()

    assert released <= now


async def is_waiting(api: Api, conn: Any) -> bool:
    async with api.parts.database.primary.connection(5) as other:
        sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %s AND info LIKE '%%FOR UPDATE%%'"
        return await fetch_one(other, sql, conn.thread_id()) == (1,)


@pytest.mark.parametrize(("ahead", "is_kept"), [(timedelta(seconds=2), True), (DAY, False), (DAY * 365, False)])
async def test_a_database_whose_clock_was_ahead_leaves_the_ids_of_its_authors_there_for_seconds_at_most(
    api: Api,
    primary_ahead: Callable[[timedelta], Any],
    caplog: pytest.LogCaptureFixture,
    ahead: timedelta,
    is_kept: bool,
) -> None:
    person = await api.person()
    async with primary_ahead(ahead):
        odd = (await api.post(person, "ahead")).body["event_id"]
    low = await now_of(api)
    assert odd > first_id(low + ahead / 2)
    caplog.clear()
    with caplog.at_level(logging.ERROR, "api.actions"):
        ids = [(await api.post(person, str(number))).body["event_id"] for number in range(3)]

    assert ids == sorted(set(ids))
    assert (ids[0] > odd) is is_kept
    high = await now_of(api)
    assert is_kept or all(is_of(id, low, high) for id in ids)
    assert len(caplog.records) == (0 if is_kept else 1), "said once: then the newest id is right again"


async def test_a_primary_whose_clock_was_ahead_has_not_been_set_back(
    api: Api, primary_ahead: Callable[[timedelta], Any]
) -> None:
    """The archive has the id from ahead as the newest, and the author's newest is older."""
    person = await api.person()
    async with primary_ahead(DAY):
        odd = (await api.post(person, "ahead")).body["event_id"]
    newest = (await api.post(person, "now")).body["event_id"]

    given = await select_given(api.parts.database.primary, person.id)

    assert newest < odd
    assert given.event == odd
    assert proof_of(Highest(1, 1, odd, person.id), given) == ""


async def test_an_event_that_was_written_while_the_clock_was_ahead_is_swept_all_the_same(
    settings: ApiSettings, primary_ahead: Callable[[timedelta], Any]
) -> None:
    async with running_api(settings, outbox=False) as dying, primary_ahead(DAY):
        person = await dying.person()
    async with running_api(settings) as api:
        await until(lambda: len(api.publisher.events(person.id)) == 1)
