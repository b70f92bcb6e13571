"""A storekeeper that ends between any two of its writes: G1, and nothing happens twice."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from local.process import Process
from store.archive import open_archive
from store.events import EventType, Record
from store.feed import Feed
from store.process import cancel
from store.settings import Settings
from store.storekeeper import Storekeeper
from store.timelines import open_redis
from tests.integration.conftest import settings_of
from tests.integration.test_storekeeper import METERS, publish, record

_READER, _AUTHOR = 1, 2
_MOST_WRITES = 40
_LIVES = 4.0  # seconds in which one that is not killed does what there is to do; where it is killed nobody waits
_WRITES = {
    AsyncCollection: ("bulk_write", "update_one", "insert_one", "find_one_and_update", "delete_many", "replace_one"),
    Redis: ("execute_command",),
    Pipeline: ("execute",),
}


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)


async def test_g1_a_storekeeper_that_ends_after_any_of_its_writes_leaves_nothing_out_and_does_nothing_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(settings, record(_READER, EventType.FOLLOW, id=_AUTHOR, username="x", seq=1))
    texts: list[str] = []
    async with open_archive(settings) as archive, open_redis(settings) as redis:
        feed = Feed(redis, archive)
        for writes in range(_MOST_WRITES):
            texts += [f"{writes} one", f"{writes} two"]
            await publish(settings, *batch(writes))
            with monkeypatch.context() as patch:
                stuck = stuck_after(writes, patch)
                living = asyncio.create_task(Storekeeper(settings, METERS).run())
                was_stuck = asyncio.create_task(stuck.wait())
                await asyncio.wait([was_stuck], timeout=_LIVES)
                if not was_stuck.done():
                    break
                await cancel(living)
        try:
            async with asyncio.timeout(30):
                while await shown(feed) != texts[::-1]:
                    await asyncio.sleep(0.05)
        finally:
            await cancel(living)

    assert writes > 5, "it was never killed in the middle of anything"


def stuck_after(writes: int, patch: pytest.MonkeyPatch) -> asyncio.Event:
    """From its first batch on, a storekeeper can do so many writes and commands, and none after them: then this is set."""
    left, begun, stuck = writes, False, asyncio.Event()

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        async def call(on: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal left, begun
            begun = begun or (isinstance(on, AsyncCollection) and on.name == "events")
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


def batch(number: int) -> list[Record]:
    """Two posts that stay and, between them, one that is taken back."""
    first = 10 * number + 1
    return [
        record(_AUTHOR, id=first, text=f"{number} one"),
        record(_AUTHOR, id=first + 1, text="taken back"),
        record(_AUTHOR, EventType.POST_DELETED, id=first + 1),
        record(_AUTHOR, id=first + 2, text=f"{number} two"),
    ]


async def shown(feed: Feed) -> list[str]:
    """The texts of the posts in the reader's feed, newest first."""
    page = await feed.page(_READER, None, 100)
    return [event["object"]["text"] for event in map(json.loads, page.items) if event["type"] == "post"]
