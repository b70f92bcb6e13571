"""The wire behind HAProxy 3.2, as in life: SSE and WebSocket of many users over a few h2c connections."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import websockets

from tests.integration.wire_edge import edge, haproxy
from tests.integration.wire_support import Running, running, sse, true

pytestmark = pytest.mark.skipif(
    haproxy() is None, reason="HAProxy is older than 3.1: it does not multiplex to the wire"
)


class Reader:
    """A client of HTTP/1.1 that keeps what it reads, as long as it reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.received = bytearray()
        self.reading = asyncio.Event()
        self.reading.set()
        self.closed = False

    async def read(self) -> None:
        with suppress(ConnectionError):
            while data := await self.reader.read(2**16):
                self.received += data
                await self.reading.wait()
        self.closed = True

    @property
    def posts(self) -> list[str]:
        return [got.data["object"]["text"] for got in sse(self.body) if got.event == "post"]

    @property
    def body(self) -> bytes:
        """What came in chunks, put together."""
        pieces, at = [], self.received.find(b"\r\n\r\n") + 4
        while (end := self.received.find(b"\r\n", at)) > 0:
            size = int(self.received[at:end], 16)
            pieces.append(bytes(self.received[end + 2 : end + 2 + size]))
            at = end + 2 + size + 2
        return b"".join(pieces)


@asynccontextmanager
async def reading(port: int, uid: int, cursor: str | None = None) -> AsyncIterator[Reader]:
    sock = socket.socket()
    sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 16384
    )  # else the kernel takes megabytes for whoever does not read
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock)
    came_with = f"Last-Event-ID: {cursor}\r\n" if cursor else ""
    writer.write(f"GET /v1/stream?uid={uid} HTTP/1.1\r\nHost: edge\r\n{came_with}\r\n".encode())
    made = Reader(reader, writer)
    task = asyncio.create_task(made.read())
    try:
        yield made
    finally:
        task.cancel()
        writer.transport.abort()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[tuple[Running, int]]:
    async with running(slow_after=60) as node, edge(node.port, tmp_path) as port:
        yield node, port


async def test_many_users_share_connections_and_get_what_is_theirs(node: tuple[Running, int]) -> None:
    running, port = node
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(reading(port, uid)) for uid in range(10, 210)]
        await true(lambda: all(b"snapshot" in reader.received for reader in readers), "200 live streams")
        for n in range(30):
            running.publish((1, f"all {n}"), (10 + n, f"own {n}"))
        await true(lambda: all(len(reader.posts) >= 30 for reader in readers), "30 posts each")

        links = [link for link in running.door._links if link.outlets]
        assert sum(len(link.outlets) for link in links) == 200 and len(links) <= 2
        for n, reader in enumerate(readers):
            assert [text for text in reader.posts if text.startswith("all")] == [f"all {k}" for k in range(30)]
            assert [text for text in reader.posts if text.startswith("own")] == ([f"own {n}"] if n < 30 else [])


async def test_a_reader_that_stalls_behind_the_edge_holds_up_nobody_and_misses_nothing(
    node: tuple[Running, int],
) -> None:
    """The edge keeps for a stalled client what its buffers hold, 16 MB by default for all of a connection together."""
    running, port = node
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(reading(port, uid)) for uid in range(10, 50)]
        await true(lambda: all(b"snapshot" in reader.received for reader in readers), "40 live streams")
        stalled, others = readers[20], [*readers[:20], *readers[21:]]
        stalled.reading.clear()
        for n in range(1000):
            running.publish((1, f"{n} " + "x" * 5000))
            await asyncio.sleep(0.001)

        await true(lambda: all(has_all(reader, 1000) for reader in others), "the others have everything", 30)
        assert not has_all(stalled, 1000)
        stalled.reading.set()
        await true(lambda: has_all(stalled, 1000), "the stalled one, too", 30)
        assert [text.split()[0] for text in stalled.posts] == [f"{n}" for n in range(1000)]


async def test_when_stalled_readers_have_filled_the_edge_s_buffers_it_sends_them_away_and_the_others_go_on(
    node: tuple[Running, int],
) -> None:
    """HAProxy gives windows back when it has received; what bounds a stalled client there is `timeout client`, 5 s here."""
    running, port = node
    async with AsyncExitStack() as stack:
        running.store.follows[12] = {}
        stalled, other, idle = [await stack.enter_async_context(reading(port, uid)) for uid in (10, 11, 12)]
        await true(lambda: b"snapshot" in stalled.received and b"snapshot" in other.received, "live streams")
        stalled.reading.clear()
        for n in range(900):
            running.publish((1, f"{n} " + "x" * 50_000))
            await asyncio.sleep(0.001)
        await true(lambda: [stream.uid for stream in running.hub.of_user(10)] == [], "the stalled one is sent away", 20)
        await true(lambda: b'"899 x' in other.received[-60_000:], "the other has the rest", 20)

        assert [text.split()[0] for text in other.posts] == [f"{n}" for n in range(900)]
        await asyncio.sleep(1)
        assert not idle.closed and [got.event for got in sse(idle.body)] == ["hello", "snapshot"], "silence is no stall"


def has_all(reader: Reader, posts: int) -> bool:
    return len(reader.received) > posts * 5000 and reader.body.count(b"event: post") == posts


async def test_a_client_that_leaves_is_forgotten_at_once(node: tuple[Running, int]) -> None:
    running, port = node
    async with reading(port, 7) as stays:
        async with reading(port, 8) as leaves:
            await true(lambda: b"snapshot" in leaves.received and b"snapshot" in stays.received, "both")
            assert len(running.hub) == 2
        await true(lambda: len(running.hub) == 1, "one is left")
        running.publish((1, "on"))
        await true(lambda: stays.posts == ["on"], "the other goes on")


@asynccontextmanager
async def talking(port: int, uid: int) -> AsyncIterator[websockets.ClientConnection]:
    url = f"ws://127.0.0.1:{port}/v1/ws?uid={uid}"
    async with websockets.connect(url, subprotocols=[websockets.Subprotocol("feed.v1")], proxy=None) as made:
        yield made


async def heard(made: websockets.ClientConnection) -> dict[str, object]:
    async with asyncio.timeout(10):
        got: dict[str, object] = json.loads(await made.recv())
        return got


async def test_a_websocket_gets_the_same_as_messages(node: tuple[Running, int]) -> None:
    running, port = node
    async with talking(port, 7) as one, talking(port, 8) as other, reading(port, 9) as beside:
        assert one.subprotocol == "feed.v1"
        assert [(await heard(one))["event"], (await heard(one))["event"]] == ["hello", "snapshot"]
        assert [(await heard(other))["event"], (await heard(other))["event"]] == ["hello", "snapshot"]
        await true(lambda: b"snapshot" in beside.received, "the stream beside")
        running.publish((1, "both"), (8, "own of 8"))
        running.publish((1, "x" * 60_000))

        for made, texts in ((one, ["both"]), (other, ["both", "own of 8"])):
            for text in [*texts, "x" * 60_000]:
                got = await heard(made)
                assert got["event"] == "post" and got["data"]["object"]["text"] == text  # type: ignore[index]
                assert got["id"]
        await true(lambda: len(beside.posts) == 2, "the stream beside has them, too")


async def test_ping_is_answered_and_a_close_is_a_close(node: tuple[Running, int]) -> None:
    running, port = node
    async with talking(port, 7) as made:
        await heard(made)
        async with asyncio.timeout(5):
            await (await made.ping(b"are you there"))
            await made.close(1000)
        assert made.close_code == 1000
    await true(lambda: not len(running.hub), "it is forgotten")


@pytest.mark.parametrize(
    ("said", "code"), [("no json", 1008), (b"binary", 1003), ("x" * 20_000, 1009), ('{"token": 7}', 1008)]
)
async def test_what_a_client_must_not_say_ends_its_socket_with_a_reason(
    node: tuple[Running, int], said: str | bytes, code: int
) -> None:
    running, port = node
    async with talking(port, 7) as made:
        await heard(made)
        await heard(made)
        await made.send(said)
        bye = await heard(made)
        assert bye["event"] == "bye" and bye["data"]["reason"] == "protocol"  # type: ignore[index]
        with pytest.raises(websockets.ConnectionClosed):
            await heard(made)
        assert made.close_code == code
    await true(lambda: not len(running.hub), "it is forgotten")


async def test_the_end_of_a_session_reaches_a_websocket_as_bye_and_close(node: tuple[Running, int]) -> None:
    running, port = node
    async with talking(port, 7) as made:
        await heard(made)
        await heard(made)
        running.hub.end_sessions(7, "00000000-0000-4000-8000-000000000000")
        bye = await heard(made)
        assert bye["data"]["reason"] == "signed-out"  # type: ignore[index]
        with pytest.raises(websockets.ConnectionClosedOK):
            await heard(made)
