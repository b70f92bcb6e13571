"""A stream that is over has gone within a second, whatever its client does: G5 at both doors, on sockets.

The tests wait for longer than that, because machines are slow; what would end the stream otherwise (heartbeats at which somebody
looks, SLOW_AFTER) is further away still.
"""

import asyncio
import logging
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from store.cursor import Cursor, encode
from store.events import EventType
from store.feed import Page
from store.tokens import Identity
from stream.life import live
from stream.wire.ticks import tick
from tests.integration.door_clients import UNREACHABLE, Doors, Stores, both_doors, client_of
from tests.integration.wire_support import NoSessions, Running, Socket, connected, lines, running, true
from tests.unit.logs import EPOCH

_FAR: dict[str, Any] = {"heartbeat": 45, "slow_after": 3600}
_SOCKETS = [(":method", "CONNECT"), (":protocol", "websocket")]


def asks_for_websocket(uid: int, sid: str = "") -> list[tuple[str, str]]:
    return [*_SOCKETS, *lines(uid, path="/v1/ws", sid=sid)[1:]]


async def has_gone(node: Running, what: str) -> None:
    await true(lambda: not len(node.hub), what)


def looks(node: Running) -> None:
    """The node looks at its streams at this very moment, too."""
    for link in node.door._links:
        tick(link)


async def test_g5_whenever_a_client_stops_taking_its_stream_ends_with_its_session() -> None:
    """Whoever looks while the time for last words is not over has to look again."""
    async with running(**_FAR) as node, connected(node.port, window=2000) as client:
        for uid in range(100, 103):
            node.store.follows[uid], session = {uid + 100: 1}, str(uuid4())
            sid = client.ask(lines(uid, sid=session))
            await client.live(sid)
            client.client.stalled.add(sid)
            node.publish((uid + 100, "x" * 3000))
            await true(lambda: any(stream.writing_since for stream in node.hub), "its window is shut")
            node.publish((uid, ""), type=EventType.LOGOUT, sid=session)
            looks(node)
            assert len(node.hub) == 1
            await has_gone(node, f"stream {sid} is gone")
            await client.until(lambda sid=sid: sid in client.client.resets)  # type: ignore[misc]


async def drip(client: Socket, sid: int) -> None:
    """The client takes one byte every quarter of a second."""
    while True:
        client.client.h2.increment_flow_control_window(1, sid)
        client.flush()
        await asyncio.sleep(0.25)


@pytest.mark.parametrize("end", ["signed-out", "expired"])
async def test_g5_a_client_that_takes_a_byte_now_and_then_prolongs_nothing(end: str) -> None:
    async with running(**_FAR) as node, connected(node.port, window=2000) as client:
        session, exp = str(uuid4()), int(time.time()) + (2 if end == "expired" else 3600)
        sid = client.ask(lines(7, sid=session, exp=exp))
        await client.live(sid)
        client.client.stalled.add(sid)
        node.publish(*[(1, "x" * 900) for _ in range(100)])
        dripping = asyncio.create_task(drip(client, sid))
        await true(lambda: any(stream.writing_since for stream in node.hub), "its window is shut")
        if end == "signed-out":
            node.publish((7, ""), type=EventType.LOGOUT, sid=session)
        await has_gone(node, "the stream is gone")
        dripping.cancel()
        await client.until(lambda: sid in client.client.resets)


@pytest.mark.parametrize(
    "said", [b"\x81\x84\0\0\0\0oops", b"\x88\x82\0\0\0\0\x03\xe8"], ids=["what it must not", "goodbye"]
)
async def test_g5_a_websocket_that_is_over_by_what_its_client_says_does_not_wait_for_it_to_read(said: bytes) -> None:
    async with running(**_FAR) as node, connected(node.port, window=2000) as client:
        sid = client.ask(asks_for_websocket(7), end=False)
        await client.until(lambda: b"snapshot" in client.client.received[sid])
        client.client.stalled.add(sid)
        node.publish(*[(1, "x" * 900) for _ in range(10)])
        await true(lambda: any(stream.writing_since for stream in node.hub), "its window is shut")
        client.client.h2.send_data(sid, said)
        client.flush()
        await has_gone(node, "the stream is gone")


async def test_g5_a_websocket_that_is_over_because_nobody_can_check_its_token_does_not_wait_for_it_to_read() -> None:
    async with both_doors(**_FAR) as doors, connected(doors.node.port, window=2000) as client:
        node, session = doors.node, str(uuid4())
        sid = client.ask(asks_for_websocket(7, session), end=False)
        await client.until(lambda: b"snapshot" in client.client.received[sid])
        client.client.stalled.add(sid)
        node.publish(*[(1, "x" * 900) for _ in range(10)])
        await true(lambda: any(stream.writing_since for stream in node.hub), "its window is shut")
        doors.store.session_check = UNREACHABLE
        token = b'{"token":"7 %b 9999999999"}' % session.encode()
        client.client.h2.send_data(sid, struct.pack("!BB4x", 0x81, 0x80 | len(token)) + token)
        client.flush()
        await true(lambda: all(stream.end for stream in node.hub), "it is to end")
        looks(node)
        await has_gone(node, "the stream is gone")


@asynccontextmanager
async def deaf(doors: Doors, uid: int, sid: str, exp: int, *, websocket: bool) -> AsyncIterator[socket.socket]:
    """A client of the plain door that asks and reads nothing."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(made, ("127.0.0.1", doors.plain))
        head = [f"{name}: {value}" for name, value in lines(uid, sid=sid, exp=exp)[4:]]
        path = "/v1/ws" if websocket else "/v1/stream"
        if websocket:
            head += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
            head += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        await loop.sock_sendall(made, "\r\n".join([f"GET {path} HTTP/1.1", "Host: edge", *head, "", ""]).encode())
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("websocket", [False, True], ids=["SSE", "WebSocket"])
@pytest.mark.parametrize("end", ["signed-out", "expired"])
async def test_g5_a_stream_of_the_plain_door_whose_client_reads_nothing_ends_too(end: str, websocket: bool) -> None:
    async with both_doors(**_FAR) as doors:
        node, session = doors.node, str(uuid4())
        exp = int(time.time()) + (3 if end == "expired" else 3600)
        async with deaf(doors, 7, session, exp, websocket=websocket):
            await true(lambda: any(stream.place is None for stream in node.hub), "the stream is live")
            for _ in range(40):
                node.publish((1, "x" * 16_000))
                await asyncio.sleep(0)
            await true(lambda: any(stream.writing_since for stream in node.hub), "it is written to in vain")
            if end == "signed-out":
                node.publish((7, ""), type=EventType.LOGOUT, sid=session)
            await has_gone(node, "the stream is gone")


@pytest.mark.parametrize("websocket", [False, True], ids=["SSE", "WebSocket"])
async def test_g4_a_stream_of_the_plain_door_whose_client_takes_nothing_for_too_long_is_cut(websocket: bool) -> None:
    async with both_doors(heartbeat=45, slow_after=5) as doors:
        node = doors.node
        async with client_of(doors, "plain", "SSE") as other, deaf(doors, 8, "", 0, websocket=websocket):
            await other.until("snapshot")
            await true(lambda: sum(stream.place is None for stream in node.hub) == 2, "both are live")
            for _ in range(40):
                node.publish((1, "x" * 16_000))
                await asyncio.sleep(0)
            await true(lambda: len(node.hub) == 1, "the stream is gone", 30)
            await true(lambda: connections_at(doors.plain) == 1, "its connection is gone, though nobody reads it", 30)

            assert [stream.uid for stream in node.hub] == [7]


def connections_at(port: int) -> int:
    """How many are established, or wait for their peer to read, at this port of 127.0.0.1."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(local.endswith(f":{port:04X}") and state in ("01", "04") for _, local, _, state, *_ in sockets)


async def test_what_a_client_said_before_it_went_in_the_same_read_is_dropped_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ping, text, close = b"\x89\x80\0\0\0\0", b"\x81\x82\0\0\0\0{}", b"\x88\x80\0\0\0\0"
    async with running() as node, connected(node.port) as client:
        neighbour = client.ask(lines(8))
        await client.live(neighbour)
        with caplog.at_level(logging.WARNING):
            for said in (ping, text, close, ping + text + close):
                sid = client.ask(asks_for_websocket(7), end=False)
                await client.until(lambda sid=sid: b"snapshot" in client.client.received[sid])  # type: ignore[misc]
                client.client.h2.send_data(sid, said)
                client.client.h2.reset_stream(sid, 8)
                client.flush()
                await true(lambda: len(node.hub) == 1, "it is forgotten")
            both = client.client.request(asks_for_websocket(7), end=False)  # asked for, spoken on and reset in one read
            client.client.h2.send_data(both, ping)
            client.client.h2.reset_stream(both, 8)
            client.flush()
            node.publish((1, "on"))
            await client.until(lambda: client.events(neighbour, "post"))

        assert [record.message for record in caplog.records] == []
        assert len(node.hub) == 1


class FurtherOn(Stores):
    """The archive goes on, and this node's tail does not: every page is ahead of the node."""

    pages = 0

    async def page(self, *_: object) -> Page:
        self.pages += 1
        return Page([], [], None, encode(EPOCH, (9, 9, 9)))

    async def progress(self) -> Cursor:
        return Cursor(EPOCH, (9, 9, 9))


_TOGETHER = 0.5  # seconds that a node has to reach a client, in these tests


async def test_a_client_that_stays_ahead_gets_its_gaps_with_a_pause_and_not_with_the_heartbeats_on_the_wire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.lifecycle.AHEAD_AT_MOST", _TOGETHER)
    store = FurtherOn()
    async with running((store, store, NoSessions()), **_FAR) as node, connected(node.port) as client:  # type: ignore[arg-type]
        began = time.monotonic()
        sid = client.ask([*lines(7), ("last-event-id", node.ring.cursor([9, 9, 9]))])
        await client.until(lambda: len(client.events(sid, "gap")) == 4)

        assert time.monotonic() - began >= 4 * _TOGETHER
        assert store.pages == 4
        assert {gap.data["from"] for gap in client.events(sid, "gap")} == {node.ring.cursor([9, 9, 9])}


async def test_a_client_that_stays_ahead_gets_its_gaps_with_a_pause_at_the_plain_door(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.lifecycle.AHEAD_AT_MOST", _TOGETHER)
    store = FurtherOn()
    async with running((store, store, NoSessions()), **_FAR) as node:  # type: ignore[arg-type]
        began, gaps = time.monotonic(), 0
        identity = Identity(7, str(uuid4()), int(time.time()) + 3600)
        async for batch in live(node.node, node.door._meters, identity, node.ring.cursor([9, 9, 9]), "test"):
            gaps += sum(frame.event == "gap" for frame in batch)
            if gaps == 4:
                break

        assert time.monotonic() - began >= 4 * _TOGETHER
        assert store.pages == 4
