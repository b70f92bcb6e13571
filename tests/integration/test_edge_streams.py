"""How a stream gets through the edge, and what a client hears when no node is there."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.integration.edge_system import Edge, edge, name_of, ways

_SOON = 1.0


@pytest.fixture(scope="module", params=ways(), ids=name_of)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    binary, door = request.param
    directory = tmp_path_factory.mktemp("edge")
    async with edge(binary, directory, api=2, stream=4, settings={"STREAM_DOOR": door}) as started:
        yield started
        assert any(node.by_wire for node in started.nodes.values()) == (door == "wire")


async def open_stream(
    running: Edge, target: str = "/v1/stream?drip"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    token = running.mint.good(99)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SOON)
    assert b"200" in head.splitlines()[0]
    assert b"text/event-stream" in head
    return reader, writer


async def node_of(running: Edge, uid: int) -> str:
    return str((await running.ask("/v1/stream", token=running.mint.good(uid))).json["node"])


async def test_every_event_passes_at_once(running: Edge) -> None:
    node = running.nodes[await node_of(running, 99)]
    reader, writer = await open_stream(running)
    delays = []

    for number in range(50):
        sent = asyncio.get_running_loop().time()
        node.events.put_nowait(b"data: %d\n\n" % number)
        received = await asyncio.wait_for(reader.readuntil(b"\n\n"), _SOON)
        delays.append(asyncio.get_running_loop().time() - sent)
        assert b"data: %d\n\n" % number in received
    writer.close()

    print(f"\nHAProxy {running.version}: event through the edge, median {sorted(delays)[25] * 1000:.2f} ms")
    # Forty milliseconds is what one delayed acknowledgement costs.
    assert sorted(delays)[25] < 0.02


async def test_what_the_kernel_holds_for_a_reader_who_stops_is_bounded(running: Edge) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", running.port))
    token, mine = running.mint.good(98), sock.getsockname()[1]
    # The plain door: it pushes without asking for room.
    sock.send(f"GET /v1/stream/drip HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    for node in running.nodes.values():
        node.events.put_nowait(b"x" * 10_000_000)
    held: list[int] = []

    async with asyncio.timeout(20):
        while len(held) < 10 or held[-1] == 0 or len(set(held[-10:])) > 1:
            await asyncio.sleep(0.05)
            held.append(unsent(running.port, mine))
    sock.close()
    for node in running.nodes.values():
        while not node.events.empty():
            node.events.get_nowait()

    print(f"\nHAProxy {running.version}: {held[-1]} bytes in the kernel")
    assert held[-1] <= 256 * 1024


def unsent(port: int, other: int) -> int:
    """Bytes that wait in the kernel to be taken from the connection of these two ports."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = f":{port:04X}", f":{other:04X}"
    return sum(int(row[4].split(":")[0], 16) for row in rows if (row[1][-5:], row[2][-5:]) == ends)


async def test_a_reader_that_leaves_is_noticed_at_once(running: Edge) -> None:
    node = running.nodes[await node_of(running, 99)]
    node.left.clear()
    _, writer = await open_stream(running)

    writer.close()

    await asyncio.wait_for(node.left.wait(), 2 * _SOON)


async def test_a_websocket_passes_with_its_subprotocol_and_without_its_token(running: Edge) -> None:
    token = running.mint.good(99)
    protocols = [Subprotocol("feed.v1"), Subprotocol(f"bearer.{token}")]

    async with connect(f"ws://127.0.0.1:{running.port}/v1/ws?cursor=c", subprotocols=protocols) as socket:
        head = await socket.recv()
        await socket.send("hello")
        echoed = await socket.recv()
        chosen = socket.subprotocol

    assert isinstance(head, str)
    assert (echoed, chosen) == ("hello", "feed.v1")
    assert "GET /v1/ws?cursor=c HTTP/1.1" in head
    assert "x-user-id: 99" in head.lower()
    assert token.split(".")[2] not in head


async def test_of_the_protocols_that_a_client_offers_a_websocket_is_what_it_becomes(running: Edge) -> None:
    token = running.mint.good(99)
    head = f"GET /v1/ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade, X-User-Id\r\n"
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: feed.v1\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)

    writer.write(f"{head}{key}Upgrade: h2c, websocket\r\n\r\n".encode())
    answer = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SOON)).lower()
    said = (await asyncio.wait_for(reader.readuntil(b": 99"), _SOON)).lower()
    writer.close()

    assert answer.startswith(b"http/1.1 101 ")
    assert b"upgrade: websocket\r\n" in answer
    assert said.endswith(b"x-user-id: 99")
    assert b"h2c" not in said


async def test_a_websocket_without_a_token_is_refused(running: Edge) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{running.port}/v1/ws", subprotocols=[Subprotocol("feed.v1")])

    assert refused.value.response.status_code == 401


async def test_an_event_source_is_told_to_come_back_when_a_node_fails(running: Edge) -> None:
    token = running.mint.good(99)
    node = running.nodes[await node_of(running, 99)]
    node.failing = True

    stream, socket = [await running.ask(target, token=token) for target in ("/v1/stream", "/v1/ws")]
    node.failing = False

    assert (stream.status, stream.header("content-type")) == (200, "text/event-stream")
    assert re.fullmatch(rb"retry: [2-6]\d{3}\n\n", stream.body)
    assert socket.status == 503


async def test_an_event_source_is_told_to_come_back_when_a_node_dies_under_it(running: Edge) -> None:
    node = running.nodes[await node_of(running, 99)]
    reader, _ = await open_stream(running)

    await node.lose_everybody()

    assert await asyncio.wait_for(reader.read(), _SOON) == b""


async def test_a_node_that_has_just_died_costs_nobody_an_error(running: Edge) -> None:
    home = await node_of(running, 99)
    await running.nodes[home].die()

    answer = await running.ask("/v1/stream", token=running.mint.good(99))
    await running.nodes[home].open_doors()
    await running.until_up("stream", 4)

    assert answer.status == 200
    assert answer.json["node"] != home


async def test_when_all_have_just_died_an_event_source_is_still_told_to_come_back(running: Edge) -> None:
    streams = [node for name, node in running.nodes.items() if name.startswith("stream")]
    for node in streams:
        await node.die()

    answer = await running.ask("/v1/stream", token=running.mint.good(99))
    for node in streams:
        await node.open_doors()
    await running.until_up("stream", 4)

    assert (answer.status, answer.header("content-type")) == (200, "text/event-stream")
    assert re.fullmatch(rb"retry: [2-6]\d{3}\n\n", answer.body)


async def test_with_no_node_up_an_event_source_gets_200_and_a_random_wait(running: Edge) -> None:
    token = running.mint.good()
    for name, node in running.nodes.items():
        node.ready = name.startswith("api")
    await running.until_up("stream", 0)

    answers = [await running.ask("/v1/stream", token=token) for _ in range(12)]
    socket = await running.ask("/v1/ws", token=token)
    nobody = await running.ask("/v1/stream")
    for node in running.nodes.values():
        node.ready = True
    await running.until_up("stream", 4)

    waits = [int(match[1]) for answer in answers if (match := re.fullmatch(rb"retry: (\d+)\n\n", answer.body))]
    assert {(answer.status, answer.header("content-type")) for answer in answers} == {(200, "text/event-stream")}
    assert len(waits) == 12
    assert all(2000 <= wait <= 6000 for wait in waits)
    assert len(set(waits)) > 6
    assert (socket.status, socket.error, socket.header("retry-after")) == (503, "unavailable", "2")
    assert nobody.status == 401


async def test_with_no_api_up_the_answer_is_503_and_when_to_come_back(running: Edge) -> None:
    for name, node in running.nodes.items():
        node.ready = name.startswith("stream")
    await running.until_up("api", 0)

    answers = [await running.ask(target, token=running.mint.good()) for target in ("/v1/me", "/", "/v1/auth/keys")]
    for node in running.nodes.values():
        node.ready = True
    await running.until_up("api", 2)

    assert {(a.status, a.error, a.header("retry-after")) for a in answers} == {(503, "unavailable", "2")}
    assert {answer.header("content-type") for answer in answers} == {"application/json"}
