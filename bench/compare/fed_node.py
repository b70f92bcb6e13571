"""A node with both its doors, fed over a socket, with no Kafka and no store: `fed_node AUTHORS FOLLOWED STREAMS`.

What comes over the socket are batches: u32 size, then for each post u32 author, u32 size, its JSON. All else is the node's own.
"""

import asyncio
import os
import struct
import sys
import time
from contextlib import AsyncExitStack
from typing import Any, cast

from bench.compare.posts import id_of
from bench.compare.scenario import FIRST_READER, reads
from store.as_of import AsOf
from store.briefs import Brief
from store.cursor import Cursor
from store.events import Arrival, parse_arrival
from store.feed import Page
from store.process import main, serve_until_sigterm, settle
from store.tokens import Verifier
from stream.app import create_app, cut_stalled_streams
from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node
from stream.ring import Ring
from stream.settings import StreamSettings
from stream.wire.door import open_door

_PARTITIONS = 12
_FIRST_OFFSET = 10**6  # the length of a cursor in life
_EPOCH = "0badcafe"
_EVERYTHING = Cursor(_EPOCH, (2**62,) * _PARTITIONS)  # that will ever be in the log
_HEAD = struct.Struct("<II")
_SEND_BUFFER = 64 * 1024


class Store:
    """Whom readers follow; nothing has happened yet."""

    def __init__(self, authors: int, followed: int, streams: int) -> None:
        self._authors, self._followed = authors, followed
        for uid in range(FIRST_READER, FIRST_READER + streams):
            reads(uid, authors, followed)  # remembered: what drawing lots takes is not the node's

    async def brief(self, *_: Any, **__: Any) -> Brief:
        return Brief(ended=False)

    async def following(self, uid: int, place: Cursor) -> AsOf[dict[int, int], Cursor]:
        return AsOf(dict.fromkeys(reads(uid, self._authors, self._followed), 1), place, "the bench")

    async def page(self, *_: Any) -> Page:
        return Page([], [], None, "")

    async def progress(self) -> Cursor:
        return _EVERYTHING

    async def is_ended(self, *_: Any) -> AsOf[bool, Cursor]:
        return AsOf(False, _EVERYTHING, "the bench")


class Feed(asyncio.Protocol):
    """Does with each batch what the tail does with one of Kafka's."""

    def __init__(self, node: Node) -> None:
        assert node.ring is not None and node.hub is not None
        self._ring, self._hub = node.ring, node.hub
        self._kept, self._number = b"", 0

    def data_received(self, data: bytes) -> None:
        self._kept += data
        while len(self._kept) >= 4 and len(self._kept) >= (end := 4 + int.from_bytes(self._kept[:4], "little")):
            batch, self._kept = self._kept[4:end], self._kept[end:]
            self._deliver(batch)

    def _deliver(self, batch: bytes) -> None:
        at, now, entries = 0, time.monotonic(), []
        while at < len(batch):
            author, size = _HEAD.unpack_from(batch, at)
            at += _HEAD.size
            headers = (("id", id_of(self._number).encode()), ("type", b"post"), ("v", b"1"))
            entry = self._ring.append(_arrival(self._ring, author, batch[at : at + size], headers), now)
            assert entry is not None
            entries.append(entry)
            at, self._number = at + size, self._number + 1
        self._hub.deliver(entries)


def _arrival(ring: Ring, author: int, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> Arrival:
    partition = author % _PARTITIONS
    return parse_arrival(partition, ring.next[partition], str(author).encode(), value, headers)


async def run() -> None:
    """Runs until SIGTERM."""
    settings = StreamSettings.read()
    store = cast("Any", Store(*map(int, sys.argv[1:4])))
    node = Node(settings, store, store, store)
    node.ring = Ring(
        _EPOCH, [_FIRST_OFFSET] * _PARTITIONS, seconds=settings.ring_seconds, max_bytes=settings.ring_max_bytes
    )
    node.hub, node.missing = Hub(node.ring), ""
    meters, verifier = Meters(node), cast("Verifier", None)  # nobody renews a token here
    settle()
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(open_door(node, meters, verifier))
        loop = asyncio.get_running_loop()
        fed = await loop.create_server(lambda: Feed(node), "127.0.0.1", int(os.environ["FEED_PORT"]))
        await stack.enter_async_context(fed)
        await serve_until_sigterm(
            create_app(node, meters, verifier),
            settings.stream_bind,
            cut_stalled_streams(node),
            wire.look_after_links(),
            send_buffer=_SEND_BUFFER,
        )


if __name__ == "__main__":
    main(run)
