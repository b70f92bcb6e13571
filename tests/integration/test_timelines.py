"""Redis, for real: nothing old is ever put over something new, and nothing fails because Redis is gone."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from local.process import Process
from store import breaker
from store.as_of import Behind
from store.cursor import Cursor
from store.logbook import Turn
from store.sessions import Sessions
from store.teller import Teller
from store.timelines import FEED_LENGTH, Timelines, Unknown, Wrote, feed_member, open_redis
from tests.integration.conftest import settings_of
from tests.unit.logs import EPOCH, Log

UID = 7


@pytest.fixture
async def client(redis: Process, names: dict[str, object]) -> AsyncIterator["Redis"]:
    async with open_redis(settings_of(names, redis)) as opened:
        await opened.flushall()
        yield opened


def turns(*at: int, number: int = 1) -> dict[int, Turn]:
    return {partition: Turn(offset, number) for partition, offset in enumerate(at)}


@pytest.fixture
async def teller(client: "Redis") -> Teller:
    made = Teller(client, EPOCH, 3)
    await made.claim(turns(0, 0, 0))
    return made


async def fill(timelines: Timelines, key: str, *members: bytes) -> None:
    await timelines.fill(key, await timelines.lease(key), members)


async def test_what_was_filled_is_read_even_when_it_is_empty(client: "Redis", teller: Teller) -> None:
    timelines = Timelines(client)
    with pytest.raises(Unknown):
        await timelines.following(UID)

    await fill(timelines, f"following:{UID}", b"3:1", b"4:2")
    await fill(timelines, f"followers:{UID}")

    assert (await timelines.following(UID)).regardless("a test looks") == {3: 1, 4: 2}
    assert (await timelines.followers([UID, 8])).regardless("a test looks") == {UID: []}


async def test_nothing_is_filled_before_a_storekeeper_has_claimed_the_timelines(client: "Redis") -> None:
    with pytest.raises(Unknown, match="claimed"):
        await Timelines(client).lease(f"feed:{UID}")


async def test_a_fill_that_began_before_a_change_counts_for_nothing(client: "Redis", teller: Teller) -> None:
    timelines = Timelines(client)
    event = Log(3).append(3, id=1, text="new")

    await fill(timelines, "followers:3", str(UID).encode())
    for change in (
        lambda: teller.forget([f"feed:{UID}"]),
        lambda: teller.push([event], {3: [UID]}, turns(0)),
        lambda: timelines.lease(f"feed:{UID}"),
        lambda: teller.claim(turns(5)),
        client.flushall,
    ):
        await teller.claim(turns(0, 0, 0))
        old = await timelines.lease(f"feed:{UID}")
        await change()
        await timelines.fill(f"feed:{UID}", old, [b"an answer from before the change"])
        with pytest.raises(Unknown):
            await timelines.feed(UID)


async def test_a_warm_feed_takes_new_events_in_order_once_and_stays_bounded(client: "Redis", teller: Teller) -> None:
    timelines, log = Timelines(client), Log(3)
    events = [log.append(3, id=n, text="x") for n in range(FEED_LENGTH + 20)]
    await fill(timelines, f"feed:{UID}", *[feed_member(e.id, e.value) for e in events[:50]])
    await fill(timelines, "followers:3", str(UID).encode(), b"8")

    for _ in range(2):
        await teller.push(events[50:], {3: [UID, 8]}, turns(0))

    assert (await timelines.feed(UID)).regardless("a test looks") == [(e.id, e.value) for e in reversed(events[20:])]
    with pytest.raises(Unknown):
        await timelines.feed(8)


async def test_an_event_is_added_only_to_the_feeds_of_those_who_are_followers_when_it_is_added(
    client: "Redis", teller: Teller
) -> None:
    """One member has read who follows the author; another does an unfollow, and the feed is made anew before the push."""
    timelines, log = Timelines(client), Log(3)
    event = log.append(3, id=1, text="x")
    for uid in (UID, 8):
        await fill(timelines, f"feed:{uid}")
    await fill(timelines, "followers:3", str(UID).encode(), b"8")

    await teller.forget([f"following:{UID}", "followers:3", f"feed:{UID}"])
    await fill(timelines, f"feed:{UID}")
    unknown = await teller.push([event], {3: [3, UID, 8]}, turns(0))
    await fill(timelines, "followers:3", b"8")
    known = await teller.push([event], {3: [3, UID, 8]}, turns(0))

    assert (unknown, known) == ({3}, set())
    assert (await timelines.feed(UID)).regardless("a test looks") == []
    assert (await timelines.feed(8)).regardless("a test looks") == [(event.id, event.value)]


async def test_what_was_told_less_than_a_reader_needs_is_not_believed(client: "Redis", teller: Teller) -> None:
    timelines = Timelines(client)
    await fill(timelines, f"following:{UID}", b"3:1")
    await teller.told({1: (0, 5)}, turns(0, 0, 0))

    following = await timelines.following(UID)
    assert following.at_least(Cursor(EPOCH, (0, 5, 0))) == {3: 1}
    for needed in (Cursor(EPOCH, (0, 6, 0)), Cursor("deadbeef", (0, 0, 0)), Cursor(EPOCH, (0, 0, 0, 0))):
        with pytest.raises(Behind, match="Redis is at"):
            following.at_least(needed)


async def test_lists_that_came_back_from_an_old_dump_are_of_no_use_and_made_anew(
    client: "Redis", teller: Teller
) -> None:
    timelines = Timelines(client)
    await fill(timelines, f"following:{UID}", b"3:1")
    dump = {key: await client.dump(key) or b"" for key in await client.keys("*")}
    await teller.told({0: (0, 5)}, turns(0, 0, 0))
    await client.flushall()
    for key, old in dump.items():
        await client.restore(key, 0, old)

    with pytest.raises(Behind):
        (await timelines.following(UID)).at_least(Cursor(EPOCH, (5, 0, 0)))
    assert await teller.claim(turns(5, 0, 0)) == {0: 5, 1: 0, 2: 0}
    with pytest.raises(Unknown):
        await timelines.following(UID)


async def test_a_member_that_was_overtaken_tells_nothing_any_more(client: "Redis", teller: Teller) -> None:
    timelines, event = Timelines(client), Log(3).append(3, id=1, text="late")
    other = Teller(client, EPOCH, 3)
    await other.claim(turns(0, number=2))
    await fill(timelines, f"feed:{UID}")

    await teller.push([event], {3: [UID]}, turns(0))
    await teller.told({0: (0, 1)}, turns(0))

    assert (await timelines.feed(UID)).regardless("a test looks") == []
    assert await teller.claim(turns(0, 0)) == {1: 0}
    with pytest.raises(Behind):
        (await timelines.feed(UID)).at_least(Cursor(EPOCH, (1, 0, 0)))


async def test_an_archive_restored_from_an_older_copy_makes_the_timelines_anew(client: "Redis", teller: Teller) -> None:
    timelines = Timelines(client)
    await teller.told({0: (0, 9)}, turns(0, 0, 0))
    await fill(timelines, f"feed:{UID}")
    other = Teller(client, EPOCH, 3)  # the same turn once more, by the logbook

    assert await other.claim(turns(4)) == {}
    assert await other.claim(turns(4), [0]) == {0: 4}
    with pytest.raises(Unknown):
        await timelines.feed(UID)


async def test_a_new_generation_does_not_forget_who_has_just_written(client: "Redis", teller: Teller) -> None:
    await Wrote(client).mark(1, "", "0-1-5")

    await teller.claim(turns(7))

    assert await Wrote(client).last(1) == "0-1-5"
    assert await Wrote(client).last(2) is None


async def test_of_two_writes_of_a_user_on_two_processes_the_later_one_is_read_whichever_is_noted_first(
    client: "Redis",
) -> None:
    one, other = Wrote(client), Wrote(client)
    first, second = "01a20adb-0000-7000-8000-000000000001", "01a20adb-0000-7000-8000-000000000002"
    await other.mark(3, second, "0-1-11")
    await one.mark(3, first, "0-1-9")
    assert await one.last(3) == "0-1-11"

    await one.mark(3, second, "0-1-12")  # it told of nothing, and came after that event
    assert await other.last(3) == "0-1-12"
    assert 0 < await client.ttl("wrote:3") <= 10


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
    await wrote.mark(UID, "", "a place")
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
