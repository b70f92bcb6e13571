"""Readers who stop reading among a thousand on one connection from the edge: G4, and G3 when they come back."""

import asyncio
import json
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import websockets

from tests.doors import DOORS
from tests.faults.bare import Reader, assert_exactly
from tests.faults.beside import Beside, OneMore
from tests.faults.transports import open_sse, open_websocket

_READERS = {"wire": 1000, "plain": 200}
_BIG = 16_384
_BIG_POSTS = 800
_RING = 4 * 2**20
_PATIENCE = 10


async def open_streams(beside: Beside, node: OneMore) -> int:
    told = (await beside.client.get(f"http://{node.address}/metrics")).text
    return int(float(told.split("\nstickyfeed_stream_open ")[1].split("\n")[0]))


def has(reader: Reader, posts: int) -> bool:
    """Whether so many different posts have come; looked at after every frame, so cheaply."""
    return len(reader.frames) >= posts and len(set(reader.posts())) >= posts


async def first_end(beside: Beside, node: OneMore) -> float:
    """When the first of the streams that are open now has ended."""
    streams = await open_streams(beside, node)
    while await open_streams(beside, node) == streams:
        await asyncio.sleep(0.1)
    return time.monotonic()


def connections_to(address: str) -> int:
    """How many are established at this address of 127.0.0.1."""
    here = f":{int(address.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(local.endswith(here) and state == "01" for _, local, _, state, *_ in lines)


@pytest.mark.timeout(240)
@DOORS
async def test_g4_readers_that_stop_delay_nobody_cost_no_memory_are_ended_and_miss_nothing(
    beside: Beside, door: str
) -> None:
    quiet, loud = beside.uid(), beside.uid()
    said: dict[str, float] = {}
    half_way: list[int] = []
    async with (
        beside.node(SLOW_AFTER=str(_PATIENCE), HEARTBEAT="4", RING_MAX_BYTES=str(_RING)) as node,
        beside.edge(door, node, SLOW_AFTER=str(_PATIENCE), HEARTBEAT="4", EDGE_THREADS="1") as edge,
    ):

        async def reader_of(*authors: int, slow: bool = False, open: object = open_sse) -> Reader:
            asked = beside.door_of_edge(edge, uid := beside.uid())
            await beside.follow(uid, authors)
            return Reader(lambda: asked, slow=slow, open=open)  # type: ignore[arg-type]

        async def shout() -> list[str]:
            """Notes the node's memory half way, when its ring is full and has begun to drop."""
            first = await beside.post(loud, _BIG_POSTS // 2, _BIG)
            await both[0].until(lambda r: len(r.frames) > len(first) and first[-1] in r.posts())
            half_way.append(node.resident)
            return first + await beside.post(loud, _BIG_POSTS // 2, _BIG)

        stuck = [await reader_of(quiet, loud, slow=True, open=way) for way in (open_sse, open_websocket)]
        both = [await reader_of(quiet, loud) for _ in range(2)]
        others = await asyncio.gather(*(reader_of(quiet) for _ in range(_READERS[door] - 4)))
        # The connection is there before the many come, who would open more of them meanwhile.
        async with beside.reading(*both), beside.reading(*others, *stuck):
            assert door == "plain" or connections_to(node.wire) == 1
            for reader in stuck:
                reader.reading.clear()
            came = [reader.connections for reader in others]
            ending = asyncio.create_task(first_end(beside, node))
            loudly = asyncio.create_task(shout())
            while not loudly.done() or len(said) < 15:
                (event_id,) = await beside.post(quiet)
                said[event_id] = time.monotonic()
                await asyncio.sleep(0.4)
            wanted = len(said) + _BIG_POSTS
            for reader in others:
                await reader.until(lambda r: set(said) <= set(r.posts()))
            for reader in both:
                await reader.until(lambda r: has(r, wanted))
            grown = node.resident - half_way[0]
            had = [len(reader.posts()) for reader in stuck]
            ended_at = await ending
            async with asyncio.timeout(2 * _PATIENCE + 10):
                while await open_streams(beside, node) > _READERS[door] - len(stuck):
                    await asyncio.sleep(0.1)
            for reader in stuck:
                reader.reading.set()
            for reader in stuck:
                await reader.until(lambda r: has(r, wanted))

    heard = [(said[f.data["id"]], f.at) for r in others for f in r.events("post")]
    lost = sorted(at - when for when, at in heard)
    p99 = lost[len(lost) * 99 // 100]
    print(f"\np99 of {len(lost)} deliveries: {p99:.2f} s; the node grew by {grown / 2**20:.1f} MiB")
    meanwhile = [at for when, at in heard if when < ended_at - _PATIENCE / 2]
    assert len(meanwhile) > 5 * len(others) and max(meanwhile) < ended_at, "the others waited for those who stalled"
    assert p99 < _PATIENCE / 2
    assert grown < 3 * _RING, f"{grown} bytes for {_BIG_POSTS * _BIG} that two readers did not take"
    assert all(posts < wanted / 2 for posts in had) and [reader.connections for reader in stuck] == [2, 2]
    assert [reader.connections for reader in others] == came
    for reader in others:
        assert_exactly(reader, {quiet: list(said)})
    for reader in (*both, *stuck):
        assert_exactly(reader, {quiet: list(said), loud: loudly.result()})


async def test_g4_a_websocket_that_stops_is_ended_too_and_a_silent_one_is_not(beside: Beside) -> None:
    """On the wire the edge ends it."""
    loud, idle = beside.uid(), beside.uid()
    async with (
        beside.node(SLOW_AFTER=str(_PATIENCE), HEARTBEAT="2") as node,
        beside.edge("wire", node, SLOW_AFTER=str(_PATIENCE), HEARTBEAT="2") as edge,
        AsyncExitStack() as stack,
    ):

        async def talking(uid: int) -> websockets.ClientConnection:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            host, _, port = edge.removeprefix("http://").partition(":")
            await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
            protocols = [websockets.Subprotocol("feed.v1"), websockets.Subprotocol(f"bearer.{beside.token(uid)}")]
            made = websockets.connect(f"ws://{host}:{port}/v1/ws", sock=sock, subprotocols=protocols, max_queue=1)
            return await stack.enter_async_context(made)

        await beside.follow(stuck_uid := beside.uid(), [loud])
        stuck, silent = await talking(stuck_uid), await talking(idle)
        assert json.loads(await stuck.recv())["event"] == "hello"
        assert json.loads(await silent.recv())["event"] == "hello"
        heard = asyncio.create_task(until_closed(silent))
        await beside.post(loud, 100, _BIG)
        stopped = time.monotonic()
        async with asyncio.timeout(_PATIENCE + 25):
            while await open_streams(beside, node) > 1:
                await asyncio.sleep(0.2)
        took = time.monotonic() - stopped
        await asyncio.sleep(max(0.0, _PATIENCE + 3 - took))

        assert not heard.done(), "heartbeats are enough"
        heard.cancel()
        stuck.transport.abort()


async def until_closed(talk: websockets.ClientConnection) -> None:
    async for _ in talk:
        pass


async def test_g4_a_node_takes_only_so_many_streams_through_both_doors_together(beside: Beside) -> None:
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(beside.node(STREAMS_PER_NODE="6"))
        edges = [await stack.enter_async_context(beside.edge(door, node)) for door in ("wire", "plain")]

        def reader(edge: str) -> Reader:
            asked = beside.door_of_edge(edge, beside.uid())
            return Reader(lambda: asked)

        await stack.enter_async_context(beside.reading(*(reader(edge) for edge in edges * 3)))
        assert await open_streams(beside, node) == 6
        for edge in edges:
            refused = reader(edge)
            await refused.once()
            assert [(frame.event, frame.data["reason"]) for frame in refused.frames] == [("bye", "too-many")]
