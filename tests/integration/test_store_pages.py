"""Pages of a feed while it changes under the reader's hand, and with authors whom too many follow to be copied into feeds."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis

from local.process import Process
from store.archive import Archive, open_archive
from store.events import EventType, Record
from store.feed import Feed
from store.settings import Settings
from store.teller import Teller
from store.timelines import Timelines, open_redis
from tests.integration.conftest import settings_of
from tests.integration.test_storekeeper import keeping, publish, record, until

READER, LARGE, SMALL = 1, 100, 200
MOST_FOLLOWERS, FEED_LENGTH = 5, 10  # in these tests


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)


@dataclass
class Wall:
    """Posts of several authors, and what the reader's feed is to show of them."""

    settings: Settings
    feed: Feed
    redis: "Redis"
    archive: Archive
    posts: list[int] = field(default_factory=list)  # oldest first, as they stand
    readers: dict[int, list[int]] = field(default_factory=dict)  # into whose lists what each author did was copied last
    _records: int = 0
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def follow(self, author: int, *readers: int) -> None:
        await self._tell(*[record(reader, EventType.FOLLOW, id=author, username="x", seq=1) for reader in readers])

    async def post(self, author: int, count: int = 1) -> list[int]:
        made = [next(self._numbers) for _ in range(count)]
        await self._tell(*[record(author, id=number, text="x") for number in made])
        self.posts += made
        return made

    async def take_back(self, author: int, posts: list[int]) -> None:
        await self._tell(*[record(author, EventType.POST_DELETED, id=number) for number in posts])
        self.posts = [number for number in self.posts if number not in posts]

    async def page(self, limit: int) -> list[int]:
        found = [json.loads(item) for item in (await self.feed.page(READER, None, limit)).items]
        return [event["object"]["id"] for event in found if event["type"] == "post"]

    async def shows(self, limit: int = 5) -> None:
        """Returns when the newest page is right."""

        async def is_right() -> bool:
            return await self.page(limit) == self.posts[: -limit - 1 : -1]

        await until(is_right)

    async def warm(self) -> list[int]:
        """The posts in the list in Redis, oldest first; the list is warm."""

        async def is_warm() -> bool:
            await self.feed.page(READER, None, 1)
            return await self.redis.zcard(f"feed:{READER}") > 1

        await until(is_warm)
        kept = (await Timelines(self.redis).feed(READER)).regardless("it is just warm")
        found = [json.loads(body) for _, body in reversed(kept)]
        return [event["object"]["id"] for event in found if event["type"] == "post"]

    async def is_large(self, author: int) -> bool:
        return bool(await self.redis.sismember("large", str(author)))

    async def _tell(self, *records: Record) -> None:
        """Each time a batch of its own: returns when the storekeeper has done it."""
        await publish(self.settings, *records)
        self._records += len(records)

        async def is_done() -> bool:
            return sum((await self.archive.progress()).offsets) == self._records

        await until(is_done)


@pytest.fixture
async def wall(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wall]:
    for module in ("store.feed", "store.warming"):
        monkeypatch.setattr(f"{module}.MOST_FOLLOWERS", MOST_FOLLOWERS)
    for module in ("store.feed", "store.teller"):
        monkeypatch.setattr(f"{module}.FEED_LENGTH", FEED_LENGTH)
    async with open_archive(settings) as archive, open_redis(settings) as redis, keeping(settings):
        await redis.delete("large")
        made, really = Wall(settings, Feed(redis, archive), redis, archive), Teller.push

        async def push(teller: Teller, arrivals: Any, readers: dict[int, list[int]], turns: Any) -> set[int]:
            made.readers |= readers
            return await really(teller, arrivals, readers, turns)

        monkeypatch.setattr(Teller, "push", push)
        yield made


async def test_an_author_becomes_too_large_while_feeds_are_warm_and_nothing_is_missed_or_stays_that_was_taken_back(
    wall: Wall,
) -> None:
    await wall.follow(LARGE, READER, *range(2, MOST_FOLLOWERS + 1))
    await wall.follow(SMALL, READER)
    before = await wall.post(LARGE, 2)
    await wall.post(SMALL)
    await wall.shows()
    copied = [*before, *await wall.post(LARGE)]
    await wall.shows()
    assert set(copied) < set(await wall.warm()) and not await wall.is_large(LARGE)

    await wall.follow(LARGE, *range(10, 15))
    after = await wall.post(LARGE, 2)
    await wall.shows()
    await wall.post(SMALL)
    await wall.shows()
    assert await wall.is_large(LARGE), "it has not become large"
    assert wall.readers[LARGE] == [LARGE], "what a large author does is copied all the same"

    await wall.take_back(LARGE, [copied[-1], after[0]])  # one that is in the list, and one that is not
    await wall.shows()
    await wall.post(LARGE)
    await wall.shows()


async def test_a_warm_feed_that_a_large_author_leaves_too_short_is_read_from_the_archive(wall: Wall) -> None:
    await wall.follow(LARGE, READER, *range(2, MOST_FOLLOWERS + 1))
    await wall.follow(SMALL, READER)
    await wall.post(SMALL, 6)
    many = await wall.post(LARGE, FEED_LENGTH - 2)
    await wall.post(SMALL, 2)
    await wall.shows()
    assert len(await wall.warm()) == FEED_LENGTH
    await wall.follow(LARGE, *range(10, 15))
    await wall.take_back(LARGE, many)

    await wall.shows()

    assert await wall.is_large(LARGE)
    assert len(wall.posts[-5:]) == 5 and not set(many) & set(wall.posts)


async def test_pages_do_not_shift_while_new_events_come_in(wall: Wall) -> None:
    await wall.follow(SMALL, READER)
    await wall.follow(LARGE, READER, *range(2, MOST_FOLLOWERS + 4))  # whose events come from elsewhere
    for _ in range(6):
        await wall.post(SMALL, 3)
        await wall.post(LARGE, 2)
    await wall.shows()
    there, seen, before = list(wall.posts), [], None

    async def go_on() -> None:
        while True:
            await wall.post(SMALL)
            await wall.post(LARGE)

    posting = asyncio.create_task(go_on())
    try:
        while True:
            page = await wall.feed.page(READER, before, 4)
            events = [json.loads(item) for item in page.items]
            seen += [event["object"]["id"] for event in events if event["type"] == "post"]
            if before is None:
                await until(lambda: more_than(wall, there))
            if (before := page.next) is None:
                break
    finally:
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)

    assert len(seen) == len(set(seen)), "something came on two pages"
    assert [number for number in seen if number in set(there)] == there[::-1]


async def more_than(wall: Wall, there: list[int]) -> bool:
    return bool(set(await wall.page(4)) - set(there))
