"""What a stream of the wire costs a node, counted: memory when it is idle, and whom an event and a connect touch."""

import gc
import time
import tracemalloc
from collections.abc import AsyncIterator
from random import Random
from typing import Any, cast
from uuid import uuid4

import pytest

from store.follows import Follows
from stream.wire.link import Link
from stream.wire.outlet import Outlet
from tests.integration.wire_support import Running, running

_STREAMS, _FOLLOWED = 1000, 200
_AT_MOST = 3 * 1024


class Written:
    """A transport that takes everything."""

    def write(self, _: bytes) -> None:
        pass

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass


class Touching(dict[int, Any]):
    """Notes which of its keys anybody looks at."""

    def __init__(self, given: dict[int, Any]) -> None:
        super().__init__(given)
        self.touched: set[int] = set()

    def __getitem__(self, key: int) -> Any:
        self.touched.add(key)
        return super().__getitem__(key)

    def get(self, key: int, default: Any = None) -> Any:
        self.touched.add(key)
        return super().get(key, default)

    def __setitem__(self, key: int, value: Any) -> None:
        self.touched.add(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: int) -> None:
        self.touched.add(key)
        super().__delitem__(key)

    def _all(self) -> None:
        self.touched.update(self.keys())

    def __iter__(self) -> Any:
        self._all()
        return super().__iter__()

    def items(self) -> Any:
        self._all()
        return super().items()

    def values(self) -> Any:
        self._all()
        return super().values()


@pytest.fixture
async def node() -> AsyncIterator[Running]:
    async with running() as node:
        yield node


@pytest.fixture
async def link(node: Running) -> Link:
    """A link of the node's door with no socket."""
    link = node.door.link()
    link._transport, link.closed = cast("Any", Written()), False
    return link


def live(node: Running, link: Link, number: int, follows: dict[int, int]) -> Outlet:
    """A stream of its own user that has had everything."""
    outlet = Outlet(10**6 + number, str(uuid4()), int(time.time()) + 3600, link=link, lane=link.sse, number=number)
    link.outlets[number] = outlet
    link.core.windows.add(number)
    node.hub.add(outlet)
    node.hub.subscribe(outlet, Follows(follows))
    outlet.serve()
    assert outlet.live
    return outlet


async def test_an_idle_stream_with_200_followees_takes_less_than_3_kb(node: Running, link: Link) -> None:
    chance = Random(1)
    live(node, link, 1, dict.fromkeys(range(1, 1000), 1))  # what there is once
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(1, _STREAMS + 1):
            live(
                node,
                link,
                2 * n + 1,
                {author: chance.randrange(1, 9) for author in chance.sample(range(1, 1001), _FOLLOWED)},
            )
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / _STREAMS
    finally:
        tracemalloc.stop()

    print(f"\n{each:.0f} bytes")
    assert each < _AT_MOST


async def test_connecting_and_leaving_touch_those_whom_the_user_follows_and_nobody_else(
    node: Running, link: Link
) -> None:
    for n in range(_STREAMS):
        live(node, link, 2 * n + 1, dict.fromkeys(range(n, n + 50), 1))
    authors = link.sse._by_author = Touching(link.sse._by_author)
    rooms = link.core.windows.room = Touching(link.core.windows.room)
    number = 2 * _STREAMS + 1

    outlet = live(node, link, number, {10: 1, 20: 1, 30: 1})
    touched_by_coming, authors.touched = authors.touched, set()
    link.free(outlet)

    assert touched_by_coming == authors.touched == {10, 20, 30, outlet.uid}
    assert rooms.touched == {number}


@pytest.mark.parametrize("texts", [1, 3])
async def test_an_event_touches_those_who_follow_its_author_and_nobody_else(
    node: Running, link: Link, texts: int
) -> None:
    readers = {2 * n + 1 for n in range(0, _STREAMS, 100)}
    for n in range(_STREAMS):
        number = 2 * n + 1
        live(node, link, number, {1: 1} if number in readers else {2: 1})
    authors = link.sse._by_author = Touching(link.sse._by_author)
    rooms = link.core.windows.room = Touching(link.core.windows.room)
    outlets = link.outlets = Touching(link.outlets)

    node.publish(*[(1, f"{n}") for n in range(texts)], (3, "whom nobody follows"))
    link.turn()

    assert authors.touched == {1}
    assert rooms.touched == readers
    assert outlets.touched <= readers
