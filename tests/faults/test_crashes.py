"""Processes of ours, and HAProxy, are killed while a crowd acts: G1, G2, G3, G6."""

import asyncio
import random
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from redis.asyncio import Redis

from local.system import System
from store.settings import Settings
from tests.faults.beside import one_more
from tests.faults.crowd import Crowd, crowd_in
from tests.faults.model import until

_AWAY = 1.0  # seconds for which Kafka or MongoDB takes nothing, so that what is killed is in the middle of something


@pytest.fixture(scope="module")
async def crowd(system: System) -> AsyncIterator[Crowd]:
    async with crowd_in(system) as gathered:
        yield gathered


@pytest.fixture
def suffer(crowd: Crowd) -> Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]:
    """Does it to the crowd while they act, and looks whether all is well after it."""

    async def to_them(what: Callable[[], Awaitable[None]]) -> None:
        async with crowd.acting():
            await asyncio.sleep(0.5)
            await what()
            await asyncio.sleep(0.5)
        await crowd.settle()

    return to_them


Suffer = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


async def kill(system: System, *names: str) -> None:
    """SIGKILL for all of them at once; returns when they are there again."""

    async def one(name: str) -> None:
        process = system.processes[name]
        before = process.restarts
        await process.kill()
        await until(lambda: process.restarts > before)
        await process.start()

    await asyncio.gather(*(one(name) for name in names))


async def test_g1_g2_api_processes_killed_between_the_commit_and_the_telling_lose_and_reorder_nothing(
    crowd: Crowd, suffer: Suffer
) -> None:
    async def kill_both() -> None:
        await crowd.system.stop("kafka-1", signal.SIGKILL)
        try:
            told = crowd.tally.answers["write 201"]
            await asyncio.sleep(_AWAY)
            assert crowd.tally.answers["write 201"] > told, "nothing was committed that Kafka was not told of"
            await kill(crowd.system, "api-1", "api-2")
        finally:
            await crowd.system.start("kafka-1")

    await suffer(kill_both)


@pytest.mark.parametrize("comes_back", [True, False])
async def test_g1_g2_a_storekeeper_killed_in_the_middle_of_a_batch_leaves_no_hole_and_no_double_to_the_other(
    crowd: Crowd, suffer: Suffer, comes_back: bool
) -> None:
    # The other leaves the group with a word: Kafka waits for a dead one for as long as its session lasts.
    async with one_more(crowd.system, "store", {}, signal.SIGTERM) as other:
        (first,) = [one.removeprefix("http://") for one in crowd.system.processes["storekeeper-1"].addresses]
        async with asyncio.timeout(30):
            while not (await partitions(first) and await partitions(other.address)):
                await asyncio.sleep(0.1)

        async def kill_the_first() -> None:
            crowd.system.freeze("storekeeper-1")
            await asyncio.sleep(_AWAY)  # a batch gathers
            crowd.system.freeze("mongo")
            try:
                crowd.system.thaw("storekeeper-1")
                await asyncio.sleep(_AWAY)  # of which it can do the first step, which MongoDB will take when it goes on
                await crowd.system.stop("storekeeper-1", signal.SIGKILL)
            finally:
                crowd.system.thaw("mongo")
            if comes_back:
                await crowd.system.start("storekeeper-1")

        try:
            await suffer(kill_the_first)
            if not comes_back:
                assert len(await partitions(other.address)) == Settings.model_fields["kafka_partitions"].default
        finally:
            await crowd.system.start("storekeeper-1")


async def partitions(storekeeper: str) -> set[str]:
    """Those that are its own now, as it says."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{storekeeper}/metrics")).text
    return set(re.findall(r'^stickyfeed_storekeeper_lag{partition="(\d+)"}', text, re.MULTILINE))


async def test_g1_redis_emptied_again_and_again_makes_no_feed_and_no_page_wrong(crowd: Crowd, suffer: Suffer) -> None:
    async def flush() -> None:
        async with Redis.from_url(crowd.system.env["REDIS_URL"]) as redis:
            for _ in range(10):
                await redis.flushall()
                await asyncio.sleep(random.uniform(0.05, 0.5))

    await suffer(flush)


async def test_g1_redis_may_drop_only_what_is_missed_where_it_is_read(crowd: Crowd, suffer: Suffer) -> None:
    async with Redis.from_url(crowd.system.env["REDIS_URL"], decode_responses=True) as redis:
        lasting: set[str] = set()
        kinds: set[str] = set()

        async def look() -> None:
            for _ in range(10):
                async for key in redis.scan_iter("*"):
                    kinds.add(key.split(":")[0])
                    if await redis.ttl(key) == -1:
                        lasting.add(key)
                await asyncio.sleep(0.2)

        await redis.sadd("large", 2**40)  # nobody
        try:
            await suffer(look)
        finally:
            await redis.srem("large", 2**40)
        policy = await redis.config_get("maxmemory-policy")

    assert policy == {"maxmemory-policy": "volatile-lru"}
    assert lasting == {"large", "timelines", "turns"}
    assert {"feed", "following", "followers", "session", "wrote"} <= kinds, "nothing much went on"


async def test_g1_g3_haproxy_killed_cuts_everybody_and_nobody_misses_anything(crowd: Crowd, suffer: Suffer) -> None:
    before = [member.page.reader.connections for member in crowd.members]

    await suffer(lambda: kill(crowd.system, "haproxy"))

    after = [member.page.reader.connections for member in crowd.members]
    assert all(map(int.__lt__, before, after)), "somebody was not cut"


async def test_g3_g6_nodes_killed_while_followees_change_move_their_streams_and_nobody_misses_anything(
    crowd: Crowd, suffer: Suffer
) -> None:
    async def kill_nodes() -> None:
        for node in ("stream-1", "stream-2"):
            await asyncio.sleep(random.uniform(0.5, 1))
            await kill(crowd.system, node)

    crowd.fickleness(0.4)
    try:
        await suffer(kill_nodes)
    finally:
        crowd.fickleness()
