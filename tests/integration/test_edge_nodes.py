"""Which node a request goes to."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.integration.edge_system import Edge, edge, name_of, ways
from tests.integration.edge_tokens import SECRET_KID

_SPREAD_UIDS = 20_000
_CLIENTS = 20


@pytest.fixture(scope="module", params=ways(), ids=name_of)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    binary, door = request.param
    directory = tmp_path_factory.mktemp("edge")
    async with edge(binary, directory, api=2, stream=4, settings={"STREAM_DOOR": door}) as started:
        yield started
        assert any(node.by_wire for node in started.nodes.values()) == (door == "wire")


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
