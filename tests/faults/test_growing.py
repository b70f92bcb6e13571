"""Growing under load: keys rotate, nodes come, are emptied and go, and no event is lost. G3, G6."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from local.keys import rotate
from local.system import System
from store.tokens import Signer
from tests.faults.bare import Door, Reader, assert_exactly
from tests.faults.beside import Beside

_READERS = 1000
_NEW = 60


@pytest.mark.timeout(240)
async def test_g6_a_key_is_rotated_and_a_node_added_emptied_and_removed_under_1000_streams(beside: Beside) -> None:
    system, author = beside.system, beside.uid()
    posted: list[str] = []
    writing = True

    def reader(uid: int) -> Reader:
        token, _ = Signer(Path(system.env["TOKEN_SIGNING_KEY"]), "stickyfeed", "stickyfeed", 3600).sign(
            uid, str(uuid4())
        )
        address = system.address.replace("localhost", "127.0.0.1")
        return Reader(lambda: Door(address, (("Authorization", f"Bearer {token}"),)))

    async def write() -> None:
        while writing:
            posted.extend(await beside.post(author))
            await asyncio.sleep(0.2)

    old, new = [[(uid, reader(uid)) for uid in (beside.uid() for _ in range(many))] for many in (_READERS, _NEW)]
    for uid, _ in [*old, *new]:
        await beside.follow(uid, [author])
    readers = [one for _, one in old]
    async with beside.reading(*readers):
        task = asyncio.create_task(write())
        rotate(system.site.place.keys)
        new = [(uid, reader(uid)) for uid, _ in new]
        await scaled(system, 3)
        begun = len(posted)
        async with beside.reading(*(one for _, one in new)):
            moved = [one for one in readers if one.connections != 1]
            homes = Counter(node_of(one) for _, one in new)

            at_first = [one for one in readers if node_of(one) == "stream-1"]
            began = time.monotonic()
            await system.fleet.drain("stream-1")
            byes = sorted(bye.at - began for one in at_first for bye in one.events("bye"))
            await until_back(at_first)
            stayed = [one for one in readers if one not in at_first and one.connections != 1]
            elsewhere = Counter(node_of(one) for one in at_first)
            await system.fleet.fill("stream-1")
            await scaled(system, 2)

            everybody = [*readers, *(one for _, one in new)]
            await until_back([one for one in everybody if node_of(one) == "stream-3"])
            writing = False
            await task
            for one in readers:
                await one.until(lambda r: len(set(r.posts())) >= len(posted))

    print(f"\n{dict(homes)=} {dict(elsewhere)=} byes from {byes[0]:.1f} to {byes[-1]:.1f} s, {len(posted)} posts")
    assert moved == []
    assert homes["stream-3"] > 0
    assert stayed == []
    assert set(elsewhere) == {"stream-2", "stream-3"}
    assert len(byes) == len(at_first) > _READERS / 4
    middle = (byes[0] + byes[-1]) / 2
    assert len(byes) * 0.2 < sum(at < middle for at in byes) < len(byes) * 0.8
    for one in readers:
        assert_exactly(one, {author: posted})
    assert len(posted) > begun


async def scaled(system: System, count: int) -> None:
    async with asyncio.timeout(60):
        async for _ in system.fleet.scale(count):
            pass


def node_of(reader: Reader) -> str:
    return str(reader.events("hello")[-1].data["node"])


async def until_back(readers: list[Reader]) -> None:
    """Each has come back after its bye."""
    async with asyncio.timeout(30):
        while any(len(one.events("bye")) != len(one.events("hello")) - 1 for one in readers):
            await asyncio.sleep(0.05)
