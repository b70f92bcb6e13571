"""Redis, for real: nothing old is ever put over something new, and nothing fails because Redis is gone."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from local.process import Process
from store import breaker
from store.sessions import Sessions
from store.timelines import FEED_LENGTH, Timelines, Unknown, Wrote, feed_member, open_redis
from tests.integration.conftest import settings_of
from tests.unit.logs import Log

UID = 7


@pytest.fixture
async def client(redis: Process, names: dict[str, object]) -> AsyncIterator["Redis"]:
    async with open_redis(settings_of(names, redis)) as opened:
        await opened.flushall()
        yield opened


async def test_what_was_filled_is_read_even_when_it_is_empty(client: "Redis") -> None:
    timelines = Timelines(client)
    with pytest.raises(Unknown):
        await timelines.following(UID)

    await timelines.fill(f"following:{UID}", await timelines.lease(f"following:{UID}"), [b"3:1", b"4:2"])
    await timelines.fill(f"followers:{UID}", await timelines.lease(f"followers:{UID}"), [])

    assert await timelines.following(UID) == {3: 1, 4: 2}
    assert await timelines.followers(UID) == []


async def test_a_fill_that_began_before_a_change_counts_for_nothing(client: "Redis") -> None:
    timelines = Timelines(client)
    event = Log(1).append(3, id=1, text="new")

    for change in (
        lambda: timelines.forget([f"feed:{UID}"]),
        lambda: timelines.push({event.id: [UID]}, {event.id: event.value}),
        lambda: timelines.lease(f"feed:{UID}"),
        client.flushall,
    ):
        old = await timelines.lease(f"feed:{UID}")
        await change()
        await timelines.fill(f"feed:{UID}", old, [b"an answer from before the change"])
        with pytest.raises(Unknown):
            await timelines.feed(UID)


async def test_a_warm_feed_takes_new_events_in_order_once_and_stays_bounded(client: "Redis") -> None:
    timelines, log = Timelines(client), Log(1)
    events = [log.append(3, id=n, text="x") for n in range(FEED_LENGTH + 20)]
    key = f"feed:{UID}"
    await timelines.fill(key, await timelines.lease(key), [feed_member(e.id, e.value) for e in events[:50]])

    for _ in range(2):
        for event in events[50:]:
            await timelines.push({event.id: [UID, 8]}, {event.id: event.value})

    assert await timelines.feed(UID) == [(e.id, e.value) for e in reversed(events[20:])]
    with pytest.raises(Unknown):
        await timelines.feed(8)


async def test_forget_all_leaves_only_what_the_storekeeper_does_not_know(client: "Redis") -> None:
    timelines, sessions = Timelines(client), Sessions(client)
    await timelines.fill("following:1", await timelines.lease("following:1"), [b"3:1"])
    await sessions.mark_ended("sid", int(time.time()) + 60)
    await Wrote(client).mark(1, "0-1-5")

    await timelines.forget_all()

    with pytest.raises(Unknown):
        await timelines.following(1)
    assert await sessions.is_ended(1, "sid") is None  # the archive knows
    assert await Wrote(client).last(1) == "0-1-5"
    assert await Wrote(client).last(2) is None


async def test_a_session_once_ended_never_comes_alive_again(client: "Redis") -> None:
    sessions, sid = Sessions(client), str(uuid4())
    assert await sessions.is_ended(1, sid) is None
    await sessions.remember(sid, False, int(time.time()) + 60)
    assert await sessions.is_ended(1, sid) is False

    await sessions.mark_ended(sid, int(time.time()) + 60)
    await sessions.remember(sid, False, int(time.time()) + 60)

    assert await sessions.is_ended(1, sid) is True


async def test_with_redis_gone_nobody_waits_long_and_nobody_is_told_a_lie(names: dict[str, object]) -> None:
    async with open_redis(settings_of({**names, "redis_url": "redis://127.0.0.1:9"})) as gone:
        async with asyncio.timeout(20):
            assert await Sessions(gone).is_ended(1, "sid") is None
            await Sessions(gone).mark_ended("sid", int(time.time()) + 60)
            with pytest.raises(Unknown, match="Redis"):
                await Timelines(gone).feed(UID)
            with pytest.raises(Unknown):
                await Wrote(gone).last(UID)


async def test_while_redis_hangs_one_waits_for_it_and_the_others_go_on_at_once(
    client: "Redis", redis: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = Wrote(client)
    await wrote.mark(UID, "a place")
    monkeypatch.setattr(breaker, "_REST", 60.0)
    redis.freeze()
    try:
        with pytest.raises(Unknown, match="Timeout"):
            await wrote.last(UID)
        for _ in range(20):
            with pytest.raises(Unknown, match="ConnectionError"):
                await wrote.last(UID + 1)
        monkeypatch.setattr(client.connection_pool.connection_kwargs["retry"], "_try_at", 0.0)
        with pytest.raises(Unknown, match="Timeout"):
            await wrote.last(UID)
    finally:
        redis.thaw()
    with pytest.raises(Unknown, match="ConnectionError"):
        await wrote.last(UID)
    monkeypatch.setattr(client.connection_pool.connection_kwargs["retry"], "_try_at", 0.0)

    assert await wrote.last(UID) == "a place"
    assert await wrote.last(UID + 1) is None
