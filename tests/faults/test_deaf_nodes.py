"""A node that alone has lost Kafka, and Kafka that is gone for all: G3, G6 and G7."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from local.http_check import get
from store.broker import BrokerUnavailable
from tests.doors import DOORS
from tests.faults.bare import Reader, assert_exactly
from tests.faults.beside import Beside, OneMore
from tests.faults.kafka_relay import KafkaRelay, relay_before
from tests.faults.model import until

_READERS = 40
_SILENCE = 15.0  # seconds: half as long again as a node takes to find out that the log goes on without it


@dataclass
class Audience:
    """Readers of one author on two nodes, of which `deaf` hears of Kafka only what the relay lets through."""

    beside: Beside
    author: int
    edge: str
    deaf: OneMore
    relay: KafkaRelay
    readers: list[Reader]
    posted: list[str] = field(default_factory=list)

    @property
    def at_the_deaf(self) -> list[Reader]:
        return [reader for reader in self.readers if nodes_of(reader)[0] == "deaf"]

    async def ready(self) -> dict[str, object]:
        """What the node says of itself at its plain door."""
        _, text = await get(self.deaf.address, "/readyz")
        body: dict[str, object] = json.loads(text)
        return body

    async def until_ready_is(self, wanted: bool) -> dict[str, object]:
        async with asyncio.timeout(60):
            while (said := await self.ready())["ready"] is not wanted:
                await asyncio.sleep(0.1)
        return said

    async def has_everything(self) -> None:
        for reader in self.readers:
            await reader.until(lambda r: len(set(r.posts())) >= len(self.posted), 60)

    def check(self) -> None:
        for reader in self.readers:
            assert_exactly(reader, {self.author: self.posted})


def nodes_of(reader: Reader) -> list[str]:
    return [hello.data["node"] for hello in reader.events("hello")]


@asynccontextmanager
async def audience(beside: Beside, door: str) -> AsyncIterator[Audience]:
    """All live, while the author posts; at the end of the block everybody has everything."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        relay = await enter(relay_before(beside.system.env["KAFKA_SERVERS"]))
        deaf = await enter(beside.node(NODE_NAME="deaf", KAFKA_SERVERS=relay.address, DRAIN="2"))
        other = await enter(beside.node(NODE_NAME="other"))
        edge = await enter(beside.edge(door, deaf, other))
        author = beside.uid()
        readers = []
        for uid in (beside.uid() for _ in range(_READERS)):
            asked = beside.door_of_edge(edge, uid)
            readers.append(Reader(lambda asked=asked: asked))  # type: ignore[misc]
            await beside.follow(uid, [author])
        made = Audience(beside, author, edge, deaf, relay, readers)
        writing = True

        async def write() -> None:
            while writing:
                with suppress(BrokerUnavailable):  # it is away, and what was on its way to it may come or not
                    made.posted.extend(await beside.post(author))
                await asyncio.sleep(0.1)

        async with beside.reading(*readers):
            task = asyncio.create_task(write())
            yield made
            writing = False
            await task
            await made.has_everything()


@DOORS
@pytest.mark.parametrize("how", [KafkaRelay.refuse, KafkaRelay.swallow], ids=["refused", "black hole"])
async def test_g3_g6_a_node_that_alone_has_lost_kafka_sends_its_streams_to_one_that_has_not_and_comes_back(
    beside: Beside, door: str, how: object
) -> None:
    async with audience(beside, door) as those:
        going = those.at_the_deaf
        assert 0 < len(going) < _READERS
        await how(those.relay)  # type: ignore[operator]
        said = await those.until_ready_is(False)
        for reader in going:
            await reader.until(lambda r: nodes_of(r)[-1] == "other", 60)
        assert (await those.ready())["ready"] is False
        await those.relay.let_through()
        await those.until_ready_is(True)

        newcomer_of = going[0].door()
        newcomer = Reader(lambda: newcomer_of)
        async with beside.reading(newcomer):
            async with asyncio.timeout(60):
                while nodes_of(newcomer)[-1] != "deaf":  # the edge may not have asked it yet
                    came = newcomer.connections
                    newcomer.cut()
                    await newcomer.until(lambda r, came=came: r.connections > came and len(nodes_of(r)) > came)  # type: ignore[misc]
            had = len(newcomer.posts())
            await newcomer.until(lambda r: len(r.posts()) > had, 60)

    assert "the tail stands still in partitions" in str(said["missing"])
    assert {bye.data["reason"] for reader in going for bye in reader.events("bye")} == {"rotate"}
    assert not any(reader.events("bye") for reader in those.readers if reader not in going)
    assert all(hello.data["resumed"] for reader in going for hello in reader.events("hello")[1:])
    assert all(nodes_of(reader)[:2] == ["deaf", "other"] for reader in going)
    those.check()


@DOORS
async def test_g7_kafka_that_is_gone_for_all_sends_nobody_away(beside: Beside, door: str) -> None:
    async with audience(beside, door) as those:
        writing = len(those.posted)
        for reader in those.readers:
            await reader.until(lambda r: len(r.posts()) > writing)
        await beside.system.stop("kafka-1")
        try:
            over = time.monotonic() + _SILENCE
            while time.monotonic() < over:
                assert (await those.ready())["ready"], "it is not ready, and no other could be"
                await asyncio.sleep(0.2)
        finally:
            await beside.system.start("kafka-1")
        again = len(those.posted)
        await until(lambda: len(those.posted) > again, 60)

    assert not any(reader.events("bye") for reader in those.readers)
    assert all(reader.connections == 1 for reader in those.readers)
    assert not any(reader.events("gap") for reader in those.readers)
