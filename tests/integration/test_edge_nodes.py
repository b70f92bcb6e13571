"""Which node a stream goes to, how it gets through, and what a client hears when no node is there."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.integration.edge_system import Edge, binaries, edge, version_of
from tests.integration.edge_tokens import SECRET_KID

_SOON = 1.0
_SPREAD_UIDS = 20_000
_CLIENTS = 20


@pytest.fixture(scope="module", params=binaries(), ids=version_of)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    async with edge(request.param, tmp_path_factory.mktemp("edge"), api=2, stream=4) as started:
        yield started


async def nodes_of(running: Edge, uids: range) -> dict[int, str]:
    """Asks for each uid over a few connections that stay open: which node it gets."""
    found: dict[int, str] = {}

    async def ask(some: range) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        for uid in some:
            token = running.mint.good(uid, alg="HS256", kid=SECRET_KID)
            writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            assert length
            body = await reader.readexactly(int(length[1]))
            found[uid] = body[10 : body.index(b'"', 11)].decode()
        writer.close()

    await asyncio.gather(*(ask(uids[start::_CLIENTS]) for start in range(_CLIENTS)))
    return found


async def test_a_user_always_gets_the_same_node_and_20000_spread_evenly(running: Edge) -> None:
    first = await nodes_of(running, range(1, _SPREAD_UIDS + 1))
    again = await nodes_of(running, range(1, 501))

    shares = {name: count / _SPREAD_UIDS for name, count in sorted(Counter(first.values()).items())}
    print(f"\nHAProxy {running.version}: {shares}")
    assert set(shares) == {"stream-1", "stream-2", "stream-3", "stream-4"}
    assert all(abs(share - 0.25) < 0.03 for share in shares.values())
    assert again == {uid: first[uid] for uid in again}


async def test_a_node_that_goes_moves_its_own_users_and_they_come_back_to_it(running: Edge) -> None:
    uids = range(1, 1001)
    before = await nodes_of(running, uids)
    running.nodes["stream-2"].ready = False
    await running.until_up("stream", 3)

    without = await nodes_of(running, uids)
    running.nodes["stream-2"].ready = True
    await running.until_up("stream", 4)

    moved = {uid for uid in uids if before[uid] != without[uid]}
    assert moved == {uid for uid in uids if before[uid] == "stream-2"}
    assert len(set(Counter(without[uid] for uid in moved))) == 3
    assert await nodes_of(running, uids) == before


async def test_a_drained_node_moves_nobody_who_is_elsewhere(running: Edge) -> None:
    uids = range(1, 501)
    before = await nodes_of(running, uids)
    await running.command("set server stream/stream-3 state drain")

    drained = await nodes_of(running, uids)
    await running.command("set server stream/stream-3 state ready")

    assert all(drained[uid] == before[uid] for uid in uids if before[uid] != "stream-3")
    assert "stream-3" not in drained.values()
    assert await nodes_of(running, uids) == before


async def test_a_request_to_the_api_goes_to_any_of_them(running: Edge) -> None:
    token = running.mint.good()

    went = {(await running.ask("/v1/me", token=token)).json["node"] for _ in range(8)}

    assert went == {"api-1", "api-2"}


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
    return (await nodes_of(running, range(uid, uid + 1)))[uid]


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
