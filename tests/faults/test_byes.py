"""Streams that the node ends only because they are old, by both transports: G6, and G3 for those who come back."""

import asyncio
from collections.abc import Callable

from tests.doors import DOORS
from tests.faults.bare import Door, Reader, assert_exactly
from tests.faults.beside import Beside
from tests.faults.transports import open_sse, open_websocket

_WAYS = (open_sse, open_websocket)
_MAX_AGE = 4


def door_of(beside: Beside, edge: str, uid: int) -> Callable[[], Door]:
    asked = beside.door_of_edge(edge, uid)
    return lambda: asked


@DOORS
async def test_g6_streams_that_have_grown_old_come_back_not_all_at_once_and_miss_nothing(
    beside: Beside, door: str
) -> None:
    author, uids = beside.uid(), [beside.uid() for _ in range(20)]
    posted: list[str] = []
    await asyncio.gather(*(beside.follow(uid, [author]) for uid in uids))
    async with (
        beside.node("tests.faults.hasty", STREAM_MAX_AGE=str(_MAX_AGE)) as node,
        beside.edge(door, node) as edge,
    ):
        readers = [Reader(door_of(beside, edge, uid), open=_WAYS[uid % 2]) for uid in uids]
        async with beside.reading(*readers):
            while not all(reader.connections > 1 for reader in readers):
                posted += await beside.post(author)
                await asyncio.sleep(0.1)
            posted += await beside.post(author)
            for reader in readers:
                await reader.until(lambda r: set(posted) <= set(r.posts()))

    assert {bye.data["reason"] for reader in readers for bye in reader.events("bye")} == {"rotate"}
    for reader in readers:
        assert_exactly(reader, {author: posted})
        bye, hello = reader.events("bye")[0], reader.events("hello")[0]
        assert bye.at - hello.at > _MAX_AGE * 0.75 - 1, "it was not old"
    lived = [reader.events("bye")[0].at - reader.events("hello")[0].at for reader in readers]
    assert max(lived) - min(lived) > _MAX_AGE / 20, "all at the same age"
