"""A node whose archive or Redis is behind believes nothing of either that its ring does not make whole: G3 and G5."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY

from store import cursor
from store.archive import Archive, ArchiveUnavailable, Kept
from store.as_of import AsOf
from store.briefs import Brief
from store.bulkhead import Bulkhead
from store.cursor import Cursor
from store.events import EventType
from store.feed import Feed
from store.follows import Follows
from store.sessions import Sessions
from store.timelines import Unknown
from store.tokens import Identity
from stream import coverage
from stream.frames import Frame
from stream.hub import Hub
from stream.life import live
from stream.meters import Meters
from stream.node import Node
from stream.ring import Ring
from stream.settings import StreamSettings
from tests.unit.logs import EPOCH, arrival

_USER, _FOLLOWED = 7, 1  # both in partition 1
_FLOOR = (0, 5, 0)  # where the node's ring begins: what is below is in the archive, or nowhere
_BEHIND = Cursor(EPOCH, (0, 4, 0))
_THERE = Cursor(EPOCH, (0, 5, 0))


@dataclass
class Lagging:
    """Archive, Redis and sessions in one. The archive has `before` until it was asked `late` times how far it is, then `after`."""

    before: dict[int, int]
    after: dict[int, int]
    late: float = float("inf")
    place: Cursor = _BEHIND
    ended: set[str] = field(default_factory=set)
    warm: AsOf[Follows, Cursor] | None = None  # whom Redis says the user follows
    knows_session: bool = True
    asked: int = 0

    async def progress(self) -> Cursor:
        self.asked += 1
        if self.asked > self.late:
            self.place = _THERE
        return self.place

    async def following(self, _: int, place: Cursor) -> AsOf[dict[int, int], Cursor]:
        return AsOf(self.after if self.place == _THERE else self.before, place, "the archive")

    async def newest(self, *_: Any) -> AsOf[list[Kept], Cursor]:
        return AsOf([], self.place, "the archive")

    async def is_ended(self, _: int, sid: str) -> AsOf[bool, Cursor]:
        return AsOf(sid in self.ended, self.place, "the archive")

    async def brief(self, *_: Any, following: bool, **__: Any) -> Brief:
        return Brief(ended=False if self.knows_session else None, following=self.warm if following else None)

    async def remember(self, *_: Any) -> None:
        pass


class Cold:
    """Timelines that have nothing of anybody."""

    async def following(self, _: int) -> Any:
        raise Unknown("planted")

    feed = following

    async def lease(self, _: str) -> str:
        raise Unknown("planted")


@pytest.fixture(scope="module")
def meters() -> Iterator[Meters]:
    """A process has one node; the others that tests have made in this one count here no more."""
    for collector in list(REGISTRY._names_to_collectors.values()):
        if getattr(collector, "_name", "").startswith("stickyfeed_stream"):
            with suppress(KeyError):
                REGISTRY.unregister(collector)
    yield Meters(Node(StreamSettings.model_construct(), *[None] * 3))  # type: ignore[arg-type]


@dataclass
class Reading:
    """What a stream of the user's has had."""

    node: Node
    frames: list[Frame] = field(default_factory=list)

    def names(self) -> list[str]:
        return [frame.event for frame in self.frames]

    async def until(self, event: str) -> Frame:
        async with asyncio.timeout(30):
            while not (found := [frame for frame in self.frames if frame.event == event]):
                await asyncio.sleep(0.005)
        return found[-1]


def node_over(store: Lagging) -> Node:
    feed = Feed.__new__(Feed)
    feed._timelines, feed._briefs, feed._archive = cast("Any", Cold()), cast("Any", store), cast("Any", store)
    feed._cold = Bulkhead(16, 5.0)
    settings = StreamSettings.model_validate({"edge_secret": "x" * 20, "token_keys": "/nowhere"})
    node = Node(settings, feed, cast("Archive", store), cast("Sessions", store))
    node.ring = Ring(EPOCH, _FLOOR, seconds=600, max_bytes=10**8)
    node.hub, node.missing = Hub(node.ring), ""
    return node


@asynccontextmanager
async def reading(node: Node, meters: Meters, at: str | None) -> AsyncIterator[Reading]:
    made = Reading(node)

    async def read() -> None:
        async for batch in live(node, meters, Identity(_USER, "sid", 2**31), at, "test"):
            made.frames += batch

    task = asyncio.create_task(read())
    try:
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def publish(node: Node, author: int, **object: object) -> None:
    assert node.ring is not None and node.hub is not None
    partition = author % 3
    entry = node.ring.append(
        arrival(partition, node.ring.next[partition], author, EventType.POST, sid=None, **object), time.monotonic()
    )
    assert entry is not None
    node.hub.deliver([entry])


def at_the_floor() -> str:
    return cursor.encode(EPOCH, _FLOOR)


@pytest.mark.parametrize("at", [at_the_floor(), None], ids=["with a cursor", "without"])
async def test_g3_follows_of_an_archive_that_is_behind_the_ring_are_not_taken_for_true(
    meters: Meters, monkeypatch: pytest.MonkeyPatch, at: str | None
) -> None:
    monkeypatch.setattr(coverage, "_WITHIN", 0.0)
    node = node_over(Lagging(before={}, after={_FOLLOWED: 1}))
    async with reading(node, meters, at) as page:
        bye = await page.until("bye")

    assert b'"unavailable"' in bye.data
    assert page.names() == ["bye"], "it has said that it goes on from the cursor, and cannot"


@pytest.mark.parametrize("at", [at_the_floor(), None], ids=["with a cursor", "without"])
@pytest.mark.parametrize("follows", [{_FOLLOWED: 1}, {}], ids=["followed", "unfollowed"])
async def test_g3_an_archive_that_comes_to_the_rings_floor_is_waited_for_and_what_it_says_then_counts(
    meters: Meters, at: str | None, follows: dict[int, int]
) -> None:
    node = node_over(Lagging(before={_FOLLOWED: 1} if not follows else {}, after=follows, late=2))
    async with reading(node, meters, at) as page:
        await page.until("hello")
        publish(node, _FOLLOWED, text="for followers")
        publish(node, _USER, text="for everybody who is the user")
        await page.until("post")
    async with reading(node, meters, node.ring.cursor() if node.ring else None) as again:
        await again.until("hello")
        publish(node, _FOLLOWED, text="later")
        publish(node, _USER, text="last")
        await again.until("post")

    theirs = [frame for frame in (*page.frames, *again.frames) if b'"actor":{"id":1,' in frame.data]
    assert len(theirs) == 2 * len(follows)


async def follows_of(node: Node) -> dict[int, int]:
    """Of the one stream that is open, as soon as it knows them."""
    async with asyncio.timeout(30):
        while not (known := [stream for stream in node.hub or () if stream.is_subscribed]):
            await asyncio.sleep(0.005)
    return dict(known[0].follows)


async def test_g3_follows_that_redis_or_the_node_itself_knows_as_of_the_rings_floor_need_no_archive(
    meters: Meters,
) -> None:
    store = Lagging(before={}, after={}, warm=AsOf(Follows({_FOLLOWED: 1}), _THERE, "Redis"))
    node = node_over(store)
    async with reading(node, meters, at_the_floor()):
        assert await follows_of(node) == {_FOLLOWED: 1}
    store.warm = AsOf(Follows(), _BEHIND, "Redis")
    for at in (at_the_floor(), None, cursor.encode(EPOCH, (0, 3, 0))):  # the last one is older than the ring
        async with reading(node, meters, at):
            assert await follows_of(node) == {_FOLLOWED: 1}


async def test_g3_a_ring_that_drops_what_the_archive_has_not_yet_said_while_it_is_asked_is_noticed(
    meters: Meters, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Lagging(before={}, after={}, late=0)
    node = node_over(store)
    really = store.following

    async def following(uid: int, place: Cursor) -> AsOf[dict[int, int], Cursor]:
        assert node.ring is not None
        answer = await really(uid, place)
        node.ring.lose(1, node.ring.next[1] + 1)  # as if a big batch had come meanwhile
        return answer

    monkeypatch.setattr(coverage, "_WITHIN", 0.0)
    monkeypatch.setattr(store, "following", following)
    async with reading(node, meters, None) as page:
        bye = await page.until("bye")

    assert b'"unavailable"' in bye.data and page.names() == ["bye"]


async def test_g5_that_an_archive_behind_the_ring_knows_no_end_of_a_session_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coverage, "_WITHIN", 0.0)
    store = Lagging(before={}, after={}, ended={"found"})
    node = node_over(store)

    unknown = Brief(ended=None)
    assert await node.has_ended(_USER, "found", 2**31, unknown), "an end is final at any age"
    with pytest.raises(ArchiveUnavailable, match="the archive is at"):
        await node.has_ended(_USER, "sid", 2**31, unknown)
    store.place = _THERE
    assert not await node.has_ended(_USER, "sid", 2**31, unknown)


async def test_g5_an_archive_that_comes_to_the_rings_floor_is_waited_for_before_a_session_is_let_in() -> None:
    store = Lagging(before={}, after={}, late=2)
    node = node_over(store)

    assert not await node.has_ended(_USER, "sid", 2**31, Brief(ended=None))
    assert store.asked == 3
