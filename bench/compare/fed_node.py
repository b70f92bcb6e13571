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
from store.events import Arrival, parse_arrival
from store.feed import Page
from store.process import main, serve_until_sigterm, settle
from store.tokens import Verifier
from stream.app import create_app, end_stuck_streams
from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node
from stream.ring import Ring
from stream.settings import StreamSettings
from stream.wire.door import open_door

_PARTITIONS = 12
_FIRST_OFFSET = 10**6  # the length of a cursor in life
_HEAD = struct.Struct("<II")
_SEND_BUFFER = 64 * 1024


class Store:
    """Whom readers follow; nothing has happened yet."""

    def __init__(self, authors: int, followed: int, streams: int) -> None:
        self._authors, self._followed = authors, followed
        for uid in range(FIRST_READER, FIRST_READER + streams):
            reads(uid, authors, followed)  # remembered: what drawing lots takes is not the node's

    async def following(self, uid: int) -> dict[int, int]:
        return dict.fromkeys(reads(uid, self._authors, self._followed), 1)

    async def page(self, *_: Any) -> Page:
        return Page([], [], None, "")

    async def progress(self) -> None:
        return None

    async def is_ended(self, *_: Any) -> bool:
        return False


def feed(node: Node, batch: bytes, number: int) -> int:
    """Does with a batch what the tail does with one of Kafka's. Returns the number of the next post."""
    ring, hub = node.ring, node.hub
    assert ring is not None and hub is not None
    at, now, entries = 0, time.monotonic(), []
    while at < len(batch):
        author, size = _HEAD.unpack_from(batch, at)
        at += _HEAD.size
        headers = (("id", id_of(number).encode()), ("type", b"post"), ("v", b"1"))
        entry = ring.append(_arrival(ring, author, batch[at : at + size], headers), now)
        assert entry is not None
        entries.append(entry)
        at, number = at + size, number + 1
    hub.deliver(entries)
    return number


def _arrival(ring: Ring, author: int, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> Arrival:
    partition = author % _PARTITIONS
    return parse_arrival(partition, ring.next[partition], str(author).encode(), value, headers)


async def run() -> None:
    """Runs until SIGTERM."""
    settings = StreamSettings.read()
    store = cast("Any", Store(*map(int, sys.argv[1:4])))
    node = Node(settings, store, store, store)
    node.ring = Ring(
        "0badcafe", [_FIRST_OFFSET] * _PARTITIONS, seconds=settings.ring_seconds, max_bytes=settings.ring_max_bytes
    )
    node.hub, node.missing = Hub(node.ring), ""
    meters, verifier = Meters(node), cast("Verifier", None)  # nobody renews a token here
    number = 0

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        while True:
            try:
                size = int.from_bytes(await reader.readexactly(4), "little")
            except asyncio.IncompleteReadError:
                writer.close()
                return
            number = feed(node, await reader.readexactly(size), number)

    settle()
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(open_door(node, meters, verifier))
        await stack.enter_async_context(await asyncio.start_server(take, "127.0.0.1", int(os.environ["FEED_PORT"])))
        await serve_until_sigterm(
            create_app(node, meters, verifier),
            settings.stream_bind,
            end_stuck_streams(node),
            wire.look_after_links(),
            send_buffer=_SEND_BUFFER,
        )


if __name__ == "__main__":
    main(run)
