"""Growing under load: keys rotate, nodes come, are emptied and go, and no event is lost. G3, G6."""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

import httpx
import jwt
import pytest

from local.keys import drop_old, rotate
from local.system import System
from store.tokens import Signer
from tests.faults.bare import Door, Reader, assert_exactly
from tests.faults.beside import Beside

_READERS = 1000
_NEW = 60
_RECHECK = 5  # seconds for which the edge believes that a key is still there


@pytest.mark.timeout(240)
async def test_g6_a_key_is_rotated_and_a_node_added_emptied_and_removed_under_1000_streams(  # noqa: PLR0915  (one story)
    beside: Beside,
) -> None:
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
        kids = [kid_of(reader(0)), rotate(system.site.place.keys).stem]
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

            before = [(one.connections, len(one.events("bye"))) for one in everybody]
            dropped = expire_old_keys(system)
            last_let_in = await until_refused(readers[0])
            posted.extend(await beside.post(author))
            for one in everybody:
                await one.until(lambda r: posted[-1] in r.posts())
            after = [(one.connections, len(one.events("bye"))) for one in everybody]

    print(f"\n{dict(homes)=} {dict(elsewhere)=} byes from {byes[0]:.1f} to {byes[-1]:.1f} s, {len(posted)} posts")
    assert kids[0] != kids[1] == kid_of(new[0][1])
    assert kids[0] in dropped and kids[1] not in dropped
    assert last_let_in < _RECHECK + 1
    assert after == before, "an open stream needs no key"
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


def kid_of(reader: Reader) -> str:
    return str(jwt.get_unverified_header(reader.door().headers[0][1].removeprefix("Bearer "))["kid"])


def expire_old_keys(system: System) -> list[str]:
    """As if the newest key had come so long ago that no older one counts."""
    (newest,) = (system.site.place.keys / "private").glob("*.pem")
    os.utime(system.site.place.keys / "public" / newest.name, (0, 0))
    return drop_old(system.site.place.keys, 3600)


async def until_refused(reader: Reader) -> float:
    """Waits until nobody comes in with the reader's token; after how many seconds the last one that did has asked."""
    door, began, last = reader.door(), time.monotonic(), 0.0
    async with httpx.AsyncClient(headers=dict(door.headers)) as client, asyncio.timeout(30):
        while True:
            asked = time.monotonic() - began
            if (await client.get(f"{door.address}/v1/stream/explain")).status_code == 401:
                return last
            last = asked
            await asyncio.sleep(0.1)


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
