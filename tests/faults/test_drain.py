"""A node goes while many read from it, through an edge: G6, and G3 for those who have to move."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.doors import DOORS
from tests.faults.bare import Reader, assert_exactly
from tests.faults.beside import Beside, OneMore

_READERS = 200
_DRAIN = 2.0


@dataclass
class Audience:
    """Readers of one author on two nodes; `going` are those whom the hash has put on the node that goes."""

    author: int
    ending: OneMore
    readers: list[Reader]
    posted: list[str] = field(default_factory=list)

    @property
    def going(self) -> list[Reader]:
        return [reader for reader in self.readers if nodes_of(reader)[0] == "ending"]

    async def has_everything(self) -> None:
        for reader in self.readers:
            await reader.until(lambda r: len(set(r.posts())) >= len(self.posted))

    async def has_moved(self) -> None:
        """Whoever was on the node that goes is on the other: the last to be sent away may take a moment to come back."""
        for reader in self.going:
            await reader.until(lambda r: nodes_of(r)[-1] == "other")

    def check(self) -> None:
        """Nobody has missed anything or had it twice, and nobody moved who was on the other node."""
        assert _READERS * 0.3 < len(self.going) < _READERS * 0.7
        for reader in self.readers:
            assert_exactly(reader, {self.author: self.posted})
            moved = nodes_of(reader)
            assert moved == ["other"] or (moved[0] == "ending" and moved[-1] == "other")


def nodes_of(reader: Reader) -> list[str]:
    return [hello.data["node"] for hello in reader.events("hello")]


@asynccontextmanager
async def audience(beside: Beside, door: str) -> AsyncIterator[Audience]:
    """All live, while the author posts; at the end of the block everybody has everything."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ending = await enter(beside.node(NODE_NAME="ending", DRAIN=str(int(_DRAIN))))
        other = await enter(beside.node(NODE_NAME="other"))
        edge = await enter(beside.edge(door, ending, other))
        author = beside.uid()
        readers = []
        for uid in (beside.uid() for _ in range(_READERS)):
            asked = beside.door_of_edge(edge, uid)
            readers.append(Reader(lambda asked=asked: asked))  # type: ignore[misc]
            await beside.follow(uid, [author])
        made = Audience(author, ending, readers)
        writing = True

        async def write() -> None:
            while writing:
                made.posted.extend(await beside.post(author))
                await asyncio.sleep(0.1)

        async with beside.reading(*readers):
            task = asyncio.create_task(write())
            await asyncio.sleep(0.3)
            yield made
            writing = False
            await task
            await made.has_everything()


@DOORS
async def test_g6_a_node_that_is_stopped_sends_its_streams_away_evenly_and_another_goes_on(
    beside: Beside, door: str
) -> None:
    async with audience(beside, door) as those:
        began = time.monotonic()
        those.ending.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(those.ending.process.wait(), 20)
        took = time.monotonic() - began
        await those.has_moved()

    byes = sorted(reader.events("bye")[0].at - began for reader in those.going)
    print(f"\nended in {took:.1f} s; byes from {byes[0]:.1f} to {byes[-1]:.1f} s")
    assert code == 0, those.ending.log.read_text()[-2000:]
    assert took < _DRAIN + 6
    assert {bye.data["reason"] for reader in those.readers for bye in reader.events("bye")} == {"drain"}
    # In each half of the time about half of them: nobody else gets them all at once.
    middle = byes[0] + _DRAIN / 2
    assert len(byes) * 0.2 < sum(at < middle for at in byes) < len(byes) * 0.8
    those.check()


@DOORS
async def test_g6_a_node_that_is_killed_moves_its_own_streams_and_no_other(beside: Beside, door: str) -> None:
    async with audience(beside, door) as those:
        those.ending.process.kill()
        await those.ending.process.wait()
        await those.has_moved()
        await asyncio.sleep(0.3)

    assert not any(reader.events("bye") for reader in those.readers)
    those.check()
