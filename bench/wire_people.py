"""The people of `bench.wire`: whom each follows, and what Redis knows of them."""

import json
from random import Random
from typing import Any

from redis.asyncio import Redis

from store.events import Arrival, EventType
from store.logbook import Turn
from store.sessions import keys_of
from store.teller import Teller
from store.timelines import feed_member

EPOCH, PARTITIONS, BEGUN, FIRST_UID = "0badcafe", 12, 10**6, 2_000_000
AUTHORS, FIRST_AUTHOR, SHOWN = 200, 1_000_000, 10


def followed_by(uid: int, count: int) -> list[int]:
    return [FIRST_AUTHOR + n for n in Random(uid).sample(range(AUTHORS), count)]


def event(number: int, author: int) -> Arrival:
    told = {"id": f"{number:036d}", "type": "post", "actor": {"id": author}, "object": {"text": "y" * 80}}
    return Arrival(author % PARTITIONS, number, told["id"], EventType.POST, author, json.dumps(told).encode())  # type: ignore[arg-type]


async def fill(url: str, streams: int, followed: int) -> None:
    """Everybody is warm in Redis."""
    async with Redis.from_url(url) as redis:
        await _fill(redis, streams, followed)


async def _fill(redis: "Redis", streams: int, followed: int) -> None:
    await Teller(redis, EPOCH, PARTITIONS).claim({p: Turn(BEGUN, 1) for p in range(PARTITIONS)})
    state: Any = await redis.hgetall("timelines")
    start = b" " + state[b"generation"]
    shown = {start: 0} | {feed_member(one.id, one.value): 0 for one in (event(n, FIRST_AUTHOR) for n in range(SHOWN))}
    for first in range(0, streams, 500):
        async with redis.pipeline(transaction=False) as pipe:
            for uid in range(FIRST_UID + first, FIRST_UID + min(first + 500, streams)):
                follows = [b"%d:%d" % (author, 1 + author % 9) for author in followed_by(uid, followed)]
                pipe.zadd(f"following:{uid}", dict.fromkeys([start, *follows], 0))
                pipe.zadd(f"feed:{uid}", shown)
                pipe.set(keys_of(uid, f"00000000-0000-4000-8000-{uid:012d}", "archive")[-1], b"")
            await pipe.execute()
