"""What the wire door costs a node by itself: `python -m bench.wire [streams] [streams per connection]`.

The node runs in this process and is fed by hand, with no Kafka and no store. Readers are a process of their own that answers
every DATA with a WINDOW_UPDATE, as HAProxy does. Figures are of this process's CPU, kernel included, in microseconds.
"""

import asyncio
import gc
import json
import multiprocessing
import socket
import struct
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, cast

import uvloop

from store.events import Arrival, EventType
from store.feed import Page
from store.tokens import Verifier
from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node
from stream.ring import Ring
from stream.settings import StreamSettings
from stream.wire import frames
from stream.wire.blocks import encode
from stream.wire.codes import PREFACE, Kind, Setting
from stream.wire.door import open_door

SECRET = "a secret of the bench"
AUTHORS = 200
_HEAD = struct.Struct(">LBL")
_UPDATE = struct.Struct(">LBLL")


class Store:
    """Whom users follow; nothing has happened yet."""

    def __init__(self, followed: int) -> None:
        self._followed = followed

    async def following(self, uid: int) -> dict[int, int]:
        return dict.fromkeys(Random(uid).sample(range(1, AUTHORS + 1), self._followed), 1) if self._followed else {1: 1}

    async def page(self, *_: Any) -> Page:
        return Page([], [], None, "")

    async def progress(self) -> None:
        return None

    async def is_ended(self, *_: object) -> bool:
        return False


def read(port: int, streams: int, per_connection: int, pipe: Connection) -> None:
    """The readers. Tells how many events have come whenever it is asked, and ends when told to."""
    uid, links = 10_000, []
    while streams > 0:
        link = socket.create_connection(("127.0.0.1", port))
        out = [PREFACE, frames.settings({Setting.INITIAL_WINDOW_SIZE: 65535}), frames.window_update(0, 2**30)]
        for number in range(min(streams, per_connection)):
            out.append(frames.headers(2 * number + 1, _request(uid), end=True))
            uid += 1
        link.sendall(b"".join(out))
        links.append(link)
        streams -= per_connection
    asyncio.run(_take(links, pipe))


def _request(uid: int) -> bytes:
    lines = {":method": "GET", ":scheme": "http", ":authority": "edge", ":path": "/v1/stream", "accept": "*/*"}
    lines |= {"x-edge-secret": SECRET, "x-user-id": str(uid), "x-token-exp": str(int(time.time()) + 3600)}
    lines["x-session-id"] = f"00000000-0000-4000-8000-{uid:012d}"
    return encode(200, lines.items())[1:]


async def _take(links: list[socket.socket], pipe: Connection) -> None:
    got = [0]

    async def take(link: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=link)
        left = b""
        while data := await reader.read(2**20):
            left, at, out, spent = left + data, 0, [], 0
            while len(left) - at >= 9:
                head, _, sid = _HEAD.unpack_from(left, at)
                size = head >> 8
                if len(left) - at < 9 + size:
                    break
                if head & 0xFF == Kind.DATA:
                    out.append(_UPDATE.pack(4 << 8 | Kind.WINDOW_UPDATE, 0, sid, size))
                    spent += size
                    got[0] += left.count(b"\ndata: ", at + 9, at + 9 + size)
                at += 9 + size
            left = left[at:]
            if spent:
                writer.write(b"".join(out) + frames.window_update(0, spent))

    tasks = [asyncio.create_task(take(link)) for link in links]
    while True:
        while not pipe.poll():
            await asyncio.sleep(0.002)
        if pipe.recv() == "end":
            break
        pipe.send(got[0])
    for task in tasks:
        task.cancel()


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Bench:
    def __init__(self, node: Node, pipe: Connection, streams: int) -> None:
        self.node, self.pipe, self.streams, self.offset = node, pipe, streams, 0
        assert node.ring is not None and node.hub is not None
        self.ring, self.hub = node.ring, node.hub

    def publish(self, *authors: int) -> None:
        entries = []
        for author in authors:
            value = json.dumps({"id": "x" * 36, "type": "post", "actor": {"id": author}, "text": "y" * 80}).encode()
            made = Arrival(0, self.offset, f"{self.offset:036d}", EventType.POST, author, value)
            self.offset += 1
            entry = self.ring.append(made, time.monotonic())
            assert entry is not None
            entries.append(entry)
        self.hub.deliver(entries)

    async def received(self) -> int:
        self.pipe.send("how many")
        while not self.pipe.poll():
            await asyncio.sleep(0.002)
        return int(self.pipe.recv())

    async def until(self, count: int) -> None:
        async with asyncio.timeout(120):
            while await self.received() < count:
                await asyncio.sleep(0.01)

    async def deliveries(self, name: str, batches: list[list[int]], pause: float, expected: int) -> None:
        before, cpu, wall = await self.received(), time.process_time(), time.monotonic()
        for batch in batches:
            self.publish(*batch)
            await asyncio.sleep(pause)
        await self.until(before + expected)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        print(f"{name:34} {expected:9} deliveries  {cpu / expected * 1e6:6.2f} us each  {expected / wall:11,.0f}/s")


async def measure(streams: int, per_connection: int, followed: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = {"edge_secret": SECRET, "token_keys": Path("/nowhere"), "stream_wire_bind": f"127.0.0.1:{port}"}
    store = cast("Any", Store(followed))
    node = Node(StreamSettings.model_validate(told | {"streams_per_node": 100_000}), store, store, store)
    node.ring = Ring("0badcafe", [0], seconds=600, max_bytes=10**9)
    node.hub, node.missing = Hub(node.ring), ""
    node.ring.next[0] = 10**6  # the length of a cursor in life
    async with open_door(node, Meters(node), cast("Verifier", None)):
        gc.collect()
        mine, theirs = multiprocessing.get_context("spawn").Pipe()
        reader = multiprocessing.get_context("spawn").Process(target=read, args=(port, streams, per_connection, theirs))
        bench = Bench(node, mine, streams)
        bench.offset = 10**6
        memory, cpu = rss(), time.process_time()
        reader.start()
        await bench.until(2 * streams)
        cpu, memory = time.process_time() - cpu, rss() - memory
        print(f"-- {streams} streams, {per_connection} on a connection, {followed or 1} followed each")
        print(f"{'connect':34} {cpu / streams * 1e6:8.1f} us each   {memory / streams:8.0f} bytes each, all told")
        random = Random(1)
        if followed:
            batches = [[random.randrange(1, AUTHORS + 1)] for _ in range(60)]
            per_event = _readers(followed, streams)
            await bench.deliveries("social, 20/s", batches, 0.05, sum(per_event[a] for (a,) in batches))
            bursts = [[random.randrange(1, AUTHORS + 1) for _ in range(100)] for _ in range(20)]
            await bench.deliveries("social, bursts of 100", bursts, 0.05, sum(per_event[a] for b in bursts for a in b))
        else:
            await bench.deliveries("broadcast, 20/s", [[1]] * 60, 0.05, 60 * streams)
            await bench.deliveries("broadcast, bursts of 20", [[1] * 20] * 20, 0.05, 400 * streams)
        cpu = time.process_time()
        mine.send("end")
        reader.join()
        while len(node.hub):
            await asyncio.sleep(0.01)
        print(f"{'disconnect':34} {(time.process_time() - cpu) / streams * 1e6:8.1f} us each")


def _readers(followed: int, streams: int) -> dict[int, int]:
    count = dict.fromkeys(range(1, AUTHORS + 1), 0)
    for uid in range(10_000, 10_000 + streams):
        for author in Random(uid).sample(range(1, AUTHORS + 1), followed):
            count[author] += 1
    return count


def run(streams: int, per_connection: int, followed: int) -> None:
    uvloop.run(measure(streams, per_connection, followed))


if __name__ == "__main__":
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    per_connection = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with suppress(KeyboardInterrupt):
        for followed in (0, 20, 200):  # each in a process of its own, or memory would say nothing
            one = multiprocessing.get_context("spawn").Process(target=run, args=(streams, per_connection, followed))
            one.start()
            one.join()
