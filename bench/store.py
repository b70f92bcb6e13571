"""What the store costs: a batch of the storekeeper, step by step, and feed pages, on servers of the bench's own."""

import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from local import servers
from store.archive import Archive, ArchiveUnavailable, open_archive
from store.events import Arrival, EventType, FollowChange, Person, encode, new_event, parse_arrival, record_of
from store.feed import Feed, FeedUnavailable
from store.logbook import Turn
from store.settings import Settings
from store.teller import Teller
from store.timelines import open_redis

_EPOCH, _BATCH, _AUTHORS = "0badcafe", 500, 2000
_READERS, _WARM = 200, 20  # followers of each author, and how many of them were here lately
_FIRST_READER = 1_000_000
_PAGES = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """`events` are archived before anything is measured."""

    events: int
    batches: int


async def run(plan: Plan) -> None:
    """Prints the cost of each step, and of pages."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mongo = await stack.enter_async_context(servers.running("mongo", directory / "mongo"))
        redis = await stack.enter_async_context(servers.running("redis", directory / "redis"))
        told = {"mongo_url": mongo.env["MONGO_URL"], "redis_url": redis.env["REDIS_URL"]}
        settings = Settings.model_validate({"edge_secret": "x" * 16, "token_keys": directory, **told})
        archive = await stack.enter_async_context(open_archive(settings))
        client = await stack.enter_async_context(open_redis(settings))
        await archive.ensure_indexes()
        await archive.log(lambda logbook: logbook.begin(_EPOCH, {0: 0}, {0: 0}))
        teller = Teller(client, _EPOCH, 1)
        await teller.claim({0: Turn(0, 1)})
        print(f"{Path(mongo.spec.command[0]).name}; {plan.events} events of {_AUTHORS} authors archived first")
        arrivals = _arrivals()
        took = []
        for _ in range(0, plan.events, _BATCH):
            batch = [next(arrivals) for _ in range(_BATCH)]
            took.append(await _seconds(_patiently(lambda batch=batch: archive.add(_EPOCH, batch))))  # type: ignore[misc]
        print(f"  filled at {plan.events / sum(took):.0f} events/s, the slowest {_BATCH} in {max(took):.1f} s")
        await _batches(plan, archive, client, teller, arrivals)
        for followees in (200, 1000):
            await _pages(archive, client, followees)


async def _patiently(step: Callable[[], Awaitable[None]]) -> None:
    """As the storekeeper does it: until it has succeeded."""
    while True:
        with suppress(ArchiveUnavailable):
            return await step()


async def _batches(plan: Plan, archive: Archive, client: "Redis", teller: Teller, arrivals: Iterator[Arrival]) -> None:
    feed, took = Feed(client, archive), {"archive": 0.0, "timelines": 0.0, "logbook": 0.0}
    readers = list(range(_FIRST_READER, _FIRST_READER + _READERS))
    for reader in readers[:_WARM]:
        await feed.page(reader, None, 50)
    for _ in range(plan.batches):
        batch = [next(arrivals) for _ in range(_BATCH)]
        start, end = batch[0].offset, batch[-1].offset + 1
        await archive.log(lambda logbook, start=start: logbook.advance(_EPOCH, {0: (0, start)}))  # type: ignore[misc]
        turns = {0: Turn(start, 1)}
        took["archive"] += await _seconds(archive.add(_EPOCH, batch))
        took["timelines"] += await _seconds(teller.claim(turns))
        to = {one.actor: readers for one in batch}
        took["timelines"] += await _seconds(teller.push(batch, to, turns))
        took["timelines"] += await _seconds(teller.told({0: (start, end)}, turns))
        done = archive.log(lambda logbook, start=start, end=end: logbook.advance(_EPOCH, {0: (start, end)}))  # type: ignore[misc]
        took["logbook"] += await _seconds(done)
    events, whole = plan.batches * _BATCH, sum(took.values())
    print(
        f"storekeeper, batches of {_BATCH}, {_READERS} followers each, {_WARM} of them warm: {events / whole:.0f} events/s"
    )
    for step, seconds in took.items():
        print(f"  {step:10} {seconds / plan.batches * 1000:8.1f} ms a batch")


async def _pages(archive: Archive, client: "Redis", followees: int) -> None:
    readers = range(_FIRST_READER * 2 + followees, _FIRST_READER * 2 + followees + _PAGES // 20)
    for reader in readers:
        chosen = random.sample(range(1, _AUTHORS + 1), followees)
        changes = [FollowChange(reader, followee, 1, True) for followee in chosen]
        await _patiently(lambda changes=changes: archive.change_follows(changes))  # type: ignore[misc]
    feed = Feed(client, archive)
    refused = 0

    async def page(reader: int) -> None:
        """Until there is one: MongoDB may take longer than anybody waits."""
        nonlocal refused
        while True:
            try:
                await feed.page(reader, None, 50)
                return
            except FeedUnavailable:
                refused += 1

    cold = [await _seconds(page(reader)) for reader in readers]
    warm = [await _seconds(page(reader)) for _ in range(20) for reader in readers]
    for name, times in (("cold", cold), ("warm", warm)):
        at = sorted(times)
        print(
            f"page, {followees} followees, {name}: p50 {statistics.median(at) * 1000:.1f} ms, "
            f"p99 {at[int(len(at) * 0.99)] * 1000:.1f} ms"
        )
    print(f"  {refused} of these had to be asked for again: MongoDB had taken more than 5 s")


async def _seconds(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def _arrivals() -> Iterator[Arrival]:
    """Posts of random authors, one after another in one partition."""
    offset = 0
    while True:
        author = random.randint(1, _AUTHORS)
        event = new_event(EventType.POST, Person(author, f"b{author}"), {"id": offset + 1, "text": "x" * 80})
        record = record_of(event.id, event.type, author, encode(event))
        yield parse_arrival(0, offset, record.key, record.value, record.headers)
        offset += 1
