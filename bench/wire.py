"""What the wire door costs a node by itself: `python -m bench.wire [--streams N ...] [--followed N ...] [--runs N]`.

The node runs in a process of its own and is fed by hand, with no Kafka; sessions, followees and feeds come from a real Redis, and
MongoDB is not there at all. Figures are of the node's CPU, kernel included.
"""

import argparse
import asyncio
import gc
import multiprocessing
import socket
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from statistics import median
from typing import cast

import uvloop

from bench.wire_people import AUTHORS, BEGUN, EPOCH, FIRST_UID, PARTITIONS, SHOWN, event, followed_by
from bench.wire_readers import SECRET, Plan, read
from local import servers
from store.archive import Archive
from store.feed import Feed
from store.process import ease_collector
from store.sessions import Sessions
from store.timelines import open_redis
from store.tokens import Verifier
from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node
from stream.ring import Ring
from stream.settings import StreamSettings
from stream.wire.door import open_door

Figures = dict[str, float]


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Bench:
    def __init__(self, node: Node, pipe: Connection, streams: int) -> None:
        self.pipe, self.streams, self.offset, self.figures = pipe, streams, BEGUN, Figures()
        assert node.ring is not None and node.hub is not None
        self.ring, self.hub = node.ring, node.hub

    def publish(self, *authors: int) -> None:
        entries = []
        for author in authors:
            entry = self.ring.append(event(self.offset, author), time.monotonic())
            self.offset += 1
            assert entry is not None
            entries.append(entry)
        self.hub.deliver(entries)

    async def tell(self, what: object) -> object:
        self.pipe.send(what)
        while not self.pipe.poll():
            await asyncio.sleep(0.005)
        return self.pipe.recv()

    async def received(self) -> int:
        return cast("int", await self.tell("how many"))

    async def until(self, count: int) -> None:
        async with asyncio.timeout(120):
            while await self.received() < count:
                await asyncio.sleep(0.05)

    async def connect(self, name: str, cursor: str | None, frames: int) -> None:
        await self.tell(("prepare", cursor))
        before, cpu = await self.received(), time.process_time()
        self.pipe.send("come")
        await self.until(before + frames * self.streams)
        self.figures[f"{name}, us each"] = (time.process_time() - cpu) / self.streams * 1e6

    async def disconnect(self) -> None:
        cpu = time.process_time()
        await self.tell("leave")
        while len(self.hub):
            await asyncio.sleep(0.01)
        self.figures["disconnect, us each"] = (time.process_time() - cpu) / self.streams * 1e6

    async def deliveries(self, name: str, batches: list[list[int]], readers: dict[int, int]) -> None:
        expected = sum(readers[author] for batch in batches for author in batch)
        before, cpu, wall = await self.received(), time.process_time(), time.monotonic()
        for batch in batches:
            self.publish(*batch)
            await asyncio.sleep(0.05)
        await self.until(before + expected)
        self.figures[f"{name}, us per delivery"] = (time.process_time() - cpu) / expected * 1e6
        self.figures[f"{name}, deliveries/s"] = expected / (time.monotonic() - wall)


async def measure(streams: int, per_connection: int, followed: int) -> Figures:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await stack.enter_async_context(servers.running("redis", directory))
        told = {"edge_secret": SECRET, "token_keys": Path("/nowhere"), "stream_wire_bind": f"127.0.0.1:{port}"}
        settings = StreamSettings.model_validate(
            told | {"streams_per_node": 100_000, "redis_url": server.env["REDIS_URL"]}
        )
        redis, nowhere = await stack.enter_async_context(open_redis(settings)), cast("Archive", None)
        node = Node(settings, Feed(redis, nowhere), nowhere, Sessions(redis))
        shown = event(SHOWN, 0).id  # what feeds show is older than that
        node.ring = Ring(EPOCH, [BEGUN] * PARTITIONS, seconds=600, max_bytes=10**9, since=shown)
        node.hub, node.missing = Hub(node.ring), ""
        await stack.enter_async_context(open_door(node, Meters(node), cast("Verifier", None)))
        mine, theirs = multiprocessing.get_context("spawn").Pipe()
        plan = Plan(port, streams, per_connection, followed, server.env["REDIS_URL"])
        reader = multiprocessing.get_context("spawn").Process(target=read, args=(plan, theirs))
        reader.start()
        bench = Bench(node, mine, streams)
        await bench.received()
        gc.collect()

        memory = rss()
        await bench.connect("connect from Redis", None, 2)
        bench.figures["memory, bytes per idle stream"] = (rss() - memory) / streams
        readers: dict[int, int] = defaultdict(int)
        for uid in range(FIRST_UID, FIRST_UID + streams):
            for author in followed_by(uid, followed):
                readers[author] += 1
        random, kind = Random(1), "broadcast" if followed == AUTHORS else "social"
        authors = list(readers)
        await bench.deliveries(f"{kind}, 20/s", [[random.choice(authors)] for _ in range(60)], readers)
        await bench.deliveries(f"{kind}, bursts of 20", [random.choices(authors, k=20) for _ in range(20)], readers)
        await bench.disconnect()
        await bench.connect("connect, known", node.ring.cursor(), 1)
        await bench.disconnect()
        mine.send("end")
        reader.join()
        return bench.figures


def run(streams: int, per_connection: int, followed: int, pipe: Connection) -> None:
    ease_collector()
    pipe.send(uvloop.run(measure(streams, per_connection, followed)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.wire", description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[2000, 9000])
    parser.add_argument(
        "--followed", type=int, nargs="+", default=[20, 200], help="all of the 200 authors: a broadcast"
    )
    parser.add_argument("--per-connection", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    sizes = [(streams, followed) for streams in given.streams for followed in given.followed]
    found: dict[tuple[int, int], list[Figures]] = {size: [] for size in sizes}
    spawn = multiprocessing.get_context("spawn")
    for _ in range(given.runs):
        for size in sizes:  # each in a process of its own, or memory would say nothing
            mine, theirs = spawn.Pipe()
            one = spawn.Process(target=run, args=(size[0], given.per_connection, size[1], theirs))
            one.start()
            found[size].append(mine.recv())
            one.join()
    for (streams, followed), figures in found.items():
        print(
            f"-- {streams} streams, {given.per_connection} on a connection, {followed} of {AUTHORS} authors followed each"
        )
        for name in figures[0]:
            values = [one[name] for one in figures]
            print(f"{name:44} {median(values):12,.2f}   ({min(values):,.2f} to {max(values):,.2f})")


if __name__ == "__main__":
    main()
