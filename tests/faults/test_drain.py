"""A node is told to stop while many read from it: G6."""

import asyncio
import itertools
import signal
import time

from tests.faults.bare import Reader, assert_exactly
from tests.faults.beside import Beside

_READERS = 200
_DRAIN = 2.0


async def test_g6_a_node_that_is_stopped_sends_its_streams_away_evenly_and_another_goes_on(beside: Beside) -> None:
    author = beside.uid()
    posted: list[str] = []
    writing = True

    async def write() -> None:
        while writing:
            posted.extend(await beside.post(author))
            await asyncio.sleep(0.1)

    async with beside.node(DRAIN=str(int(_DRAIN))) as ending, beside.node() as other:
        readers = []
        for uid in (beside.uid() for _ in range(_READERS)):
            # Whoever comes back comes to the other one, as the edge sees to it.
            doors = itertools.chain(
                [beside.door(ending.address, uid)], itertools.repeat(beside.door(other.address, uid))
            )
            readers.append(Reader(doors.__next__))
            await beside.follow(uid, [author])
        async with beside.reading(*readers):
            task = asyncio.create_task(write())
            await asyncio.sleep(0.3)
            began = time.monotonic()
            ending.process.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(ending.process.wait(), 20)
            took = time.monotonic() - began
            writing = False
            await task
            for reader in readers:
                await reader.until(lambda r: len(set(r.posts())) >= len(posted))

    byes = sorted(bye.at - began for reader in readers for bye in reader.events("bye"))
    print(f"\nended in {took:.1f} s; byes from {byes[0]:.1f} to {byes[-1]:.1f} s")
    assert code == 0, ending.log.read_text()[-2000:]
    assert took < _DRAIN + 6
    assert [bye.data["reason"] for reader in readers for bye in reader.events("bye")] == ["drain"] * _READERS
    # In each half of the time about half of them: nobody else gets them all at once.
    middle = byes[0] + _DRAIN / 2
    assert _READERS * 0.2 < sum(at < middle for at in byes) < _READERS * 0.8
    for reader in readers:
        assert reader.connections == 2
        assert_exactly(reader, {author: posted})
