"""Comers who take nothing: G4, in bytes that wait in the node for each, however long their events are."""

import gc
import resource
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import pytest

from store import cursor
from store.archive_reads import Kept, cut
from store.as_of import AsOf
from store.briefs import Brief
from store.cursor import Cursor
from store.events import EventType
from store.follows import Follows
from store.tokens import Identity
from stream.hub import Hub
from stream.life import live
from stream.ring import Ring
from stream.wire.outlet import Outlet
from tests.integration.wire_peer import Peer, speaking
from tests.integration.wire_support import Running, lines, running, true
from tests.unit.logs import EPOCH, arrival

_MANY = 1000
_WAITS = 64 * 1024  # bytes, as DESIGN.md says
_BESIDE = (
    16 * 1024
)  # of objects for each stream: its task, its windows, its snapshot's ids, and the peer's side, which is here too
_LONG = "😀" * 1000  # the longest post that the API takes
_VALUE = arrival(0, 0, 1, EventType.POST, text=_LONG).value
_MISSED = 1000


def fresh() -> bytes:
    """A value that nobody else has, as a driver gives them."""
    return bytes(bytearray(_VALUE))


def with_archive(node: Running) -> None:
    """A ring that begins where an archive of long posts ends."""

    async def progress() -> Cursor:
        return Cursor(EPOCH, (_MISSED,) * 3)

    async def between(
        _epoch: str, _authors: Iterable[int], partition: int, span: range, *, limit: int, max_bytes: int
    ) -> tuple[list[Kept], int]:
        some = span[: limit + 1]
        found, left_out = cut([Kept(str(at), partition, at, "post", fresh()) for at in some], limit, max_bytes)
        return found, span.stop if left_out is None else left_out

    node.store.progress, node.store.between = progress, between  # type: ignore[method-assign,attr-defined]
    node.node.ring = Ring(EPOCH, [_MISSED] * 3, seconds=600, max_bytes=10**9)
    node.node.hub = Hub(node.node.ring)


def with_feeds(node: Running) -> None:
    """Everybody's newest page in Redis is of long posts."""

    async def brief(_uid: int, _sid: str, **_: Any) -> Brief:
        feed = [(f"01a20adb-0000-7000-8000-{at:012d}", fresh()) for at in range(50, 0, -1)]
        told = Cursor(EPOCH, (0, 0, 0))
        return Brief(ended=False, following=AsOf(Follows({1: 1}), told, "planted"), feed=AsOf(feed, told, "planted"))

    node.store.brief = brief  # type: ignore[method-assign,assignment]


def with_ring(node: Running) -> None:
    """Everything that was missed is here."""
    node.deliver(*[node.made(1, text=_LONG) for _ in range(200)])


@dataclass
class Case:
    """What they come to, with which cursor, and what of it is to wait for each at least."""

    prepare: Callable[[Running], None]
    at: str | None
    least: int


_CASES = {
    "a replay from the archive": Case(with_archive, cursor.encode(EPOCH, (0, 0, 0)), 50_000),
    "a snapshot": Case(with_feeds, None, 25_000),
    "a replay from the ring": Case(with_ring, cursor.encode(EPOCH, (0, 0, 0)), 1),
}


def wish(way: str, uid: int, at: str | None) -> list[tuple[str, str]]:
    if way == "SSE":
        return [*lines(uid), *([("last-event-id", at)] if at else [])]
    path = "/v1/ws" + (f"?cursor={at}" if at else "")
    return [(":method", "CONNECT"), (":protocol", "websocket"), *lines(uid, path=path)[1:]]


async def ask(peer: Peer, way: str, at: str | None) -> None:
    for number in range(_MANY):
        peer.ask(2 * number + 1, wish(way, 100 + number, at), end=way == "SSE")
        if number % 50 == 49:
            await peer.writer.drain()


@pytest.mark.parametrize("way", ["SSE", "WebSocket"])
@pytest.mark.parametrize("name", _CASES)
async def test_g4_what_waits_for_each_of_a_thousand_comers_who_take_nothing_is_bounded_in_bytes(
    name: str, way: str
) -> None:
    case = _CASES[name]
    async with running(slow_after=600) as node, speaking(node.port) as peer:
        case.prepare(node)
        peer.greet(window=1000)
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            await ask(peer, way, case.at)
            outlets = cast("list[Outlet]", node.hub)
            await true(
                lambda: len(node.hub) == _MANY and all(one.rest and one.writing_since for one in outlets),
                "all of them wait",
                seconds=100,
            )
            gc.collect()
            kept = (tracemalloc.get_traced_memory()[0] - before) / _MANY
        finally:
            tracemalloc.stop()
        waits = [len(one.rest) for one in outlets]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss
        print(f"{name}, {way}: {max(waits)} bytes wait at most; {kept:.0f} are kept; the process grew by {grown} KB")

        assert case.least <= max(waits) <= _WAITS
        assert kept <= _WAITS + _BESIDE


async def test_g4_who_takes_gets_all_of_the_archives_part_in_batches_that_are_bounded_and_in_order() -> None:
    async with running() as node:
        with_archive(node)
        identity = Identity(7, "00000000-0000-4000-8000-000000000000", 2**31)
        batches = live(node.node, node.door._meters, identity, cursor.encode(EPOCH, (700, 990, 1000)), "plain-sse")
        at, got = [700, 990, 1000], 0
        async for batch in batches:
            assert sum(len(frame.sse) for frame in batch) <= _WAITS
            for frame in batch:
                if frame.event == "post":
                    got += 1
                    now = cursor.decode(frame.id or "").offsets
                    assert sum(now) == sum(at) + 1
                    at = list(now)
            if got == 310:
                break
        await batches.aclose()

        assert at == [1000, 1000, 1000]
