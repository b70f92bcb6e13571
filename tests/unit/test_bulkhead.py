"""Many who come cold at once: so many ask the archive at a time, all are served, and who waits too long is told so."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from redis.asyncio import Redis

from store import feed as feed_module
from store.archive_reads import Kept
from store.as_of import AsOf
from store.breaker import Breaker
from store.bulkhead import Bulkhead, BulkheadFull
from store.cursor import Cursor
from store.feed import Feed, FeedUnavailable
from tests.unit.logs import EPOCH

PLACE = Cursor(EPOCH, (0,))


class Archive:
    """It notes how many ask it at once. `answering` is cleared while it hangs."""

    def __init__(self) -> None:
        self.inside = self.most = self.asked = 0
        self.answering = asyncio.Event()
        self.answering.set()

    async def progress(self) -> Cursor:
        return PLACE

    async def following(self, _uid: int, place: Cursor) -> AsOf[dict[int, int], Cursor]:
        await self._ask()
        return AsOf({}, place, "planted")

    async def newest(
        self, _authors: Iterable[int], _before: str | None, _limit: int, place: Cursor
    ) -> AsOf[list[Kept], Cursor]:
        await self._ask()
        return AsOf([], place, "planted")

    async def _ask(self) -> None:
        self.asked += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(0.001)
            await self.answering.wait()
        finally:
            self.inside -= 1


def feed_of(archive: Any) -> Feed:
    return Feed(Redis(host="127.0.0.1", port=1, retry=Breaker()), archive)  # nothing is warm where there is no Redis


async def test_however_many_come_cold_so_many_ask_the_archive_at_a_time_and_all_are_served() -> None:
    archive = Archive()
    feed = feed_of(archive)

    pages = await asyncio.gather(*(feed.page(uid, None, 50) for uid in range(200)))
    follows = await asyncio.gather(*(feed.following(uid, PLACE) for uid in range(200)))

    assert len(pages) == len(follows) == 200
    assert archive.asked == 200 * 2 + 200
    assert archive.most == feed_module._COLD_AT_ONCE


async def test_behind_an_archive_that_hangs_who_waits_too_long_is_refused_and_has_asked_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "_TURN_SECONDS", 0.05)
    archive = Archive()
    archive.answering.clear()
    feed = feed_of(archive)
    inside = [asyncio.create_task(feed.following(uid, PLACE)) for uid in range(feed_module._COLD_AT_ONCE)]
    async with asyncio.timeout(20):
        while archive.inside < len(inside):
            await asyncio.sleep(0.01)

        refused = await asyncio.gather(*(feed.page(uid, None, 50) for uid in range(50)), return_exceptions=True)

    assert [type(one) for one in refused] == [FeedUnavailable] * 50
    assert archive.asked == len(inside)
    archive.answering.set()
    assert [found.at_least(PLACE) for found in await asyncio.gather(*inside)] == [{}] * len(inside)
    assert (await feed.page(1, None, 50)).items == []


async def test_who_gives_up_while_waiting_or_fails_inside_keeps_no_place() -> None:
    bulkhead = Bulkhead(1, 0.01)
    async with bulkhead.inside():
        with pytest.raises(BulkheadFull):
            async with bulkhead.inside():
                raise AssertionError
        leaving = asyncio.create_task(bulkhead.inside().__aenter__())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
    with pytest.raises(ZeroDivisionError):
        async with bulkhead.inside():
            raise ZeroDivisionError

    async with bulkhead.inside():
        pass
