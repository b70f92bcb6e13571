"""What a node says of its streams, and how many it takes, whichever door they came through: both doors of one node at once."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace

import pytest

from local.system import System
from tests.e2e.conftest import MakePerson
from tests.e2e.people import Listening, Person, listening, listening_by_websocket

Open = Callable[..., AbstractAsyncContextManager[Listening]]
_PER_USER = 20


@pytest.fixture
async def twice(system: System, plain_address: str, person: MakePerson) -> AsyncIterator[dict[str, Person]]:
    """One person, as met through each of the edges: the hash is the same, so it is the same node."""
    if "wire" not in system.processes["haproxy"].note:
        pytest.skip("HAProxy is older than 3.1: it knows no wire")
    someone = await person()
    yield {"wire": someone, "plain": replace(someone, address=plain_address)}


async def metrics(system: System, node: str) -> dict[str, float]:
    """The numbers of the node, by name and labels."""
    (address,) = system.processes[node].addresses
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    told = (await reader.read()).decode()
    writer.close()
    return {name: float(value) for name, value in re.findall(r"^(stickyfeed_stream_\S+) (\S+)$", told, re.MULTILINE)}


async def test_explain_and_metrics_count_the_streams_of_both_doors_alike(
    system: System, twice: dict[str, Person]
) -> None:
    ways: dict[str, tuple[Person, Open]] = {
        "wire-sse": (twice["wire"], listening),
        "wire-ws": (twice["wire"], listening_by_websocket),
        "plain-sse": (twice["plain"], listening),
        "plain-ws": (twice["plain"], listening_by_websocket),
    }
    someone = twice["wire"]
    async with listening(someone) as first:
        node = first.frames[0].data["node"]
    before = await metrics(system, node)
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(open(person)) for person, open in ways.values()]
        for page in pages:
            await page.until("snapshot")
        await someone.post("to all four")
        for page in pages:
            await page.until("post")
        explained = [
            (await person.call("GET", f"/v1/stream/explain?cursor={pages[0].cursor}")).json()
            for person in twice.values()
        ]
        renewed = [(await person.call("POST", "/v1/stream/token")).json()["streams"] for person in twice.values()]
        during = await metrics(system, node)

    assert {page.frames[0].data["node"] for page in pages} == {node}
    for told in explained:
        assert told["node"] == node
        assert told["cursor"]["is"] == "known" and told["cursor"]["in_the_ring"]
        assert sorted(stream["door"] for stream in told["streams"]) == sorted(ways)
        assert {(stream["state"], stream["follows"]) for stream in told["streams"]} == {("live", 0)}
        assert len(told["log"]["partitions"]) == 12 and all(p["lag"] == 0 for p in told["log"]["partitions"])
    assert renewed == [4, 4]
    for door in ways:
        label = f'{{door="{door}"}}'
        for name, least in (("opened_total", 1), ("frames_total", 3)):
            key = f"stickyfeed_stream_{name}{label}"
            assert during[key] - before.get(key, 0) >= least, key
    assert during["stickyfeed_stream_open"] >= 4


@pytest.mark.parametrize("last", ["wire", "plain"])
async def test_g4_one_user_may_have_only_so_many_streams_open_through_both_doors_together(
    twice: dict[str, Person], last: str
) -> None:
    async with AsyncExitStack() as stack:
        for number in range(_PER_USER):
            person = twice["wire" if number % 2 else "plain"]
            page = await stack.enter_async_context((listening, listening_by_websocket)[number // 2 % 2](person))
            assert page.frames[0].event == "hello"
        for open in (listening, listening_by_websocket):
            async with open(twice[last]) as refused:
                await refused.until("bye")
            assert [(frame.event, frame.data["reason"]) for frame in refused.frames] == [("bye", "too-many")]
