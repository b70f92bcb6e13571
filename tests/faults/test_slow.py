"""One reader stops reading among two hundred who don't: G4, and G3 when it comes back."""

import asyncio
import json
import socket
import time
from contextlib import AsyncExitStack

import websockets

from tests.doors import DOORS
from tests.faults.bare import Reader, assert_exactly
from tests.faults.beside import Beside, OneMore

_READERS = 200
_BIG = 16_384
_BIG_POSTS = 1_500
_RING = 4 * 2**20
_PATIENCE = 5


async def open_streams(beside: Beside, node: OneMore) -> int:
    told = (await beside.client.get(f"http://{node.address}/metrics")).text
    return int(float(told.split("\nstickyfeed_stream_open ")[1].split("\n")[0]))


@DOORS
async def test_g4_a_reader_that_stops_delays_nobody_costs_no_memory_is_ended_and_misses_nothing(
    beside: Beside, door: str
) -> None:
    quiet, loud = beside.uid(), beside.uid()
    said: dict[str, float] = {}
    async with (
        beside.node(SLOW_AFTER=str(_PATIENCE), RING_MAX_BYTES=str(_RING)) as node,
        beside.edge(door, node, SLOW_AFTER=str(_PATIENCE)) as edge,
    ):

        async def reader_of(*authors: int, slow: bool = False) -> Reader:
            asked = beside.door_of_edge(edge, uid := beside.uid())
            await beside.follow(uid, authors)
            return Reader(lambda: asked, slow=slow)

        others = [await reader_of(quiet) for _ in range(_READERS - 2)]
        both = [await reader_of(quiet, loud) for _ in range(2)]
        stuck = await reader_of(quiet, loud, slow=True)
        async with beside.reading(*others, *both, stuck):
            stuck.reading.clear()
            before = node.resident
            loudly = asyncio.create_task(beside.post(loud, _BIG_POSTS, _BIG))
            while not loudly.done() or len(said) < 30:
                (event_id,) = await beside.post(quiet)
                said[event_id] = time.monotonic()
                await asyncio.sleep(0.05)
            for reader in (*others, *both):
                await reader.until(lambda r: set(said) <= set(r.posts()))
            grown = node.resident - before
            async with asyncio.timeout(_PATIENCE + 10):
                while await open_streams(beside, node) > _READERS:
                    await asyncio.sleep(0.2)
            had = len(stuck.posts())
            stuck.reading.set()
            wanted = len(said) + _BIG_POSTS
            for reader in (*both, stuck):
                await reader.until(lambda r: len(set(r.posts())) >= wanted)

    lost = [f.at - said[f.data["id"]] for r in others for f in r.events("post")]
    print(f"\nslowest of {len(lost)} deliveries: {max(lost):.2f} s; the node grew by {grown / 2**20:.1f} MiB")
    assert max(lost) < _PATIENCE - 1, "the others waited"
    assert grown < 8 * _RING, f"{grown} bytes for {_BIG_POSTS * _BIG} that one reader did not take"
    assert had < wanted / 2 and stuck.connections == 2
    for reader in others:
        assert reader.connections == 1
        assert_exactly(reader, {quiet: list(said)})
    for reader in (*both, stuck):
        assert_exactly(reader, {quiet: list(said), loud: loudly.result()})


async def test_g4_a_websocket_that_stops_is_ended_too_and_a_silent_one_is_not(beside: Beside) -> None:
    """On the wire the edge ends it."""
    loud, idle = beside.uid(), beside.uid()
    async with (
        beside.node(SLOW_AFTER=str(_PATIENCE + 5), HEARTBEAT="2") as node,
        beside.edge("wire", node, SLOW_AFTER=str(_PATIENCE + 5), HEARTBEAT="2") as edge,
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
        await asyncio.sleep(max(0.0, _PATIENCE + 8 - took))

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
