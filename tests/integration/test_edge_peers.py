"""Two edges side by side: the same node for the same user, and one count for both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.integration.edge_system import Edge, binaries, edge, free_port, version_of

LIMIT = 8


@pytest.fixture(scope="module", params=binaries(), ids=version_of)
async def edges(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Edge]]:
    peers = {f"PEER_{n}": f"127.0.0.1:{free_port()}" for n in (1, 2)}
    async with AsyncExitStack() as stack:
        started = []
        for name in ("edge-1", "edge-2"):
            # A window that no slow machine outlasts.
            settings = {"PEER_NAME": name, "LIMIT_SIGN_IN": str(LIMIT), "LIMIT_SIGN_IN_WINDOW": "60", **peers}
            directory = tmp_path_factory.mktemp(name)
            started.append(await stack.enter_async_context(edge(request.param, directory, stream=4, settings=settings)))
        yield started


async def test_both_send_a_user_to_the_same_node(edges: list[Edge]) -> None:
    async def node_of(running: Edge, uid: int) -> str:
        return str((await running.ask("/v1/stream", token=running.mint.good(uid))).json["node"])

    homes = [[await node_of(running, uid) for uid in range(1, 101)] for running in edges]

    assert homes[0] == homes[1]
    assert set(homes[0]) == {"stream-1", "stream-2", "stream-3", "stream-4"}


async def test_what_was_tried_at_one_counts_at_the_other(edges: list[Edge]) -> None:
    async def sign_in(running: Edge) -> int:
        return (await running.ask("/v1/auth/sign-in", method="POST", body=b"{}")).status

    at_one = [await sign_in(edges[0]) for _ in range(LIMIT)]
    async with asyncio.timeout(15):
        while f"http_req_rate(60000)={LIMIT}" not in await edges[1].command("show table sign_in_rates"):
            await asyncio.sleep(0.05)

    assert at_one == [200] * LIMIT
    assert await sign_in(edges[1]) == 429
