"""A storekeeper that ends between any two of its writes: G1, and nothing happens twice."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from local.process import Process
from store.archive import Archive, open_archive
from store.events import EventType, Record
from store.feed import Feed
from store.process import cancel
from store.settings import Settings
from store.storekeeper import Storekeeper
from store.timelines import open_redis
from tests.integration.conftest import settings_of
from tests.integration.test_storekeeper import METERS, has_come_to, keeping, publish, record, until

_READER, _AUTHOR, _LEAVER = 1, 2, 3
_MOST_WRITES = 60
_LIVES = 30.0  # seconds in which one is killed, or does what there is to do
_KEPT = ("events", "follows", "ended")
_WRITES = {
    AsyncCollection: ("insert_many", "bulk_write", "update_one", "find_one_and_update"),
    Redis: ("execute_command",),
    Pipeline: ("execute",),
}


@dataclass
class Expected:
    """What there is to be after the batches that were published."""

    records: int = 0
    texts: list[str] = field(default_factory=list)
    following: dict[int, int] = field(default_factory=lambda: {_AUTHOR: 1})
    ended: list[str] = field(default_factory=list)


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)


@pytest.mark.timeout(400)
async def test_g1_a_storekeeper_that_ends_after_any_of_its_writes_leaves_nothing_out_and_does_nothing_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Expected(records=1)
    await publish(settings, record(_READER, EventType.FOLLOW, id=_AUTHOR, username="x", seq=1))
    async with open_archive(settings) as archive, open_redis(settings) as redis:
        feed = Feed(redis, archive)
        async with keeping(settings):  # an archive that is not whole yet is alone: Redis is left as it is
            await until(lambda: has_come_to(archive, 1))
        for writes in range(_MOST_WRITES):
            await publish(settings, *batch(writes, expected))
            with monkeypatch.context() as patch:
                stuck = stuck_after(writes, patch)
                living = asyncio.create_task(Storekeeper(settings, METERS).run())
                try:
                    await until(partial(over, stuck, archive, expected), _LIVES)
                finally:
                    await cancel(living)
                if not stuck.is_set():
                    break

        assert not stuck.is_set(), "none came to the end of its batch"
        assert writes > 20, "it was hardly ever killed in the middle of anything"
        assert await shown(feed) == expected.texts[::-1]
        place = await archive.progress()
        assert (await archive.following(_READER)).at_least(place) == expected.following
        assert (await feed.following(_READER, place)).at_least(place) == expected.following
        ended = [await archive.is_ended(_READER, sid) for sid in expected.ended]
        assert ended and all(one.regardless("an end is final") for one in ended)
        assert (await archive.newest([_LEAVER], None, 10)).at_least(place) == []
        assert (await archive.following(_LEAVER)).at_least(place) == {}
        assert (await archive.is_ended(_LEAVER, "any session of theirs")).regardless("a test looks")


def stuck_after(writes: int, patch: pytest.MonkeyPatch) -> asyncio.Event:
    """From its first batch on, a storekeeper can do so many writes and commands, and none after them: then this is set."""
    left, begun, stuck = writes, False, asyncio.Event()

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        async def call(on: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal left, begun
            begun = begun or (isinstance(on, AsyncCollection) and on.name in _KEPT)
            if begun and left == 0:
                stuck.set()
                await asyncio.Event().wait()
            left -= begun
            return await write(on, *args, **kwargs)

        return call

    for kind, names in _WRITES.items():
        for name in names:
            patch.setattr(kind, name, counted(getattr(kind, name)))
    return stuck


async def over(stuck: asyncio.Event, archive: Archive, expected: Expected) -> bool:
    return stuck.is_set() or await has_come_to(archive, expected.records)


def batch(number: int, expected: Expected) -> list[Record]:
    """Two posts that stay and one that is taken back, one who is followed and one who is left, and an account that goes.

    Now and then somebody signs out: each of them is a write of its own, and a batch has to end some day.
    """
    first, stays, left = 10 * number + 1, 1000 + number, 2000 + number
    expected.texts += [f"{number} one", f"{number} two"]
    expected.following[stays] = 1
    signs_out = [record(_READER, EventType.LOGOUT, sid=f"session {number}")] if number % 4 == 0 else []
    expected.ended += [f"session {number}" for _ in signs_out]
    records = [
        record(_AUTHOR, id=first, text=f"{number} one"),
        record(_AUTHOR, id=first + 1, text="taken back"),
        record(_AUTHOR, EventType.POST_DELETED, id=first + 1),
        record(_AUTHOR, id=first + 2, text=f"{number} two"),
        record(_READER, EventType.FOLLOW, id=stays, username="x", seq=1),
        record(_READER, EventType.FOLLOW, id=left, username="x", seq=1),
        record(_READER, EventType.UNFOLLOW, id=left, username="x", seq=2),
        *signs_out,
        record(_LEAVER, id=first + 3, text="nobody sees it"),
        record(_LEAVER, EventType.FOLLOW, id=_AUTHOR, username="x", seq=number + 1),
        record(_LEAVER, EventType.ACCOUNT_DELETED),
    ]
    expected.records += len(records)
    return records


async def shown(feed: Feed) -> list[str]:
    """The texts of the posts in the reader's feed, newest first."""
    page = await feed.page(_READER, None, 100)
    items = list(page.items)
    while page.next is not None:
        page = await feed.page(_READER, page.next, 100)
        items += page.items
    return [event["object"]["text"] for event in map(json.loads, items) if event["type"] == "post"]
