"""The archive further behind than a node's ring, while people follow and unfollow, and the node is started anew: G1 and G3."""

import asyncio
import json
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from local.http_check import get
from tests.doors import DOORS
from tests.faults.bare import Door, Reader, assert_ids_never_go_back
from tests.faults.beside import Beside

_RING = {"RING_SECONDS": "10"}
_GONE = float(
    os.environ.get("FAULT_SECONDS", "14")
)  # of the storekeeper: longer than the ring, so that the follows are out of it
_BEHIND = ("storekeeper", "too-old")


@dataclass
class Person:
    """Whom the user follows when the storekeeper stops and when it goes on; `old` and `new` change in between.

    The user has one session, which Redis knows: that is not what a node has to wait for.
    """

    uid: int
    always: int
    old: int
    new: int
    headers: tuple[tuple[str, str], ...]
    readers: list[Reader] = field(default_factory=list)

    def reader(self, edge: str, at: str | None = None) -> Reader:
        return Reader(lambda: Door(edge, self.headers), at)


@DOORS
@pytest.mark.timeout(300)
async def test_g1_g3_follows_that_only_the_log_has_are_waited_for_and_then_everything_comes(
    beside: Beside, door: str
) -> None:
    people = []
    for uid in (beside.uid() for _ in range(3)):
        people.append(Person(uid, beside.uid(), beside.uid(), beside.uid(), beside.door_of_edge("", uid).headers))
    for person in people:
        await beside.follow(person.uid, [person.always, person.old])
    async with AsyncExitStack() as stack:
        async with beside.node(**_RING) as first, beside.edge(door, first) as edge:
            before = {person.uid: person.reader(edge) for person in people}
            async with beside.reading(*before.values()):
                for person in people:
                    await beside.post(person.old)
                    await before[person.uid].until(lambda r: len(r.posts()) == 1)
                await beside.system.stop("storekeeper-1")
                stack.push_async_callback(beside.system.start, "storekeeper-1")
                for person in people:
                    await beside.follow(person.uid, [person.old], seq=2, on=False)
                    await beside.follow(person.uid, [person.new])
                    await before[person.uid].until(lambda r: len(r.events("follow", "unfollow")) == 2)
                missed = {person.uid: await beside.post(person.new) for person in people}
                for person in people:
                    await before[person.uid].until(lambda r, p=person: missed[p.uid][0] in r.posts())  # type: ignore[misc]
        cursors = {uid: reader.at for uid, reader in before.items()}
        await asyncio.sleep(_GONE)

        # Started anew, its ring begins behind all that; the archive before it.
        node = await stack.enter_async_context(beside.node(**_RING))
        edge = await stack.enter_async_context(beside.edge(door, node))
        for person in people:
            for at in (cursors[person.uid], None):
                person.readers.append(person.reader(edge, at))
        early = [reader for person in people for reader in person.readers]
        for reader in early:
            await stack.enter_async_context(reader)
        for reader in early:
            await reader.until(lambda r: len(r.events("bye")) >= 1 or bool(r.events("hello")), 60)
        meanwhile = {
            person.uid: [*await beside.post(person.new), *await beside.post(person.always)] for person in people
        }
        not_any_more = {person.uid: await beside.post(person.old) for person in people}
        said = json.loads((await get(node.address, "/readyz"))[1])
        byes = {bye.data["reason"] for reader in early for bye in reader.events("bye")}
        hellos = [reader.events("hello") for reader in early]

        await beside.system.start("storekeeper-1")
        for person in people:
            for at in (cursors[person.uid], None):
                late = person.reader(edge, at)
                person.readers.append(late)
                await stack.enter_async_context(late)
        everybody = [reader for person in people for reader in person.readers]
        for reader in everybody:
            await reader.until(lambda r: bool(r.events("hello")) and bool(r.at), 60)
        last = {person.uid: [*await beside.post(person.new), *await beside.post(person.always)] for person in people}
        for person in people:
            await beside.post(person.old)
            for reader in person.readers:
                await reader.until(lambda r, p=person: set(last[p.uid]) <= set(r.posts()), 60)  # type: ignore[misc]

    assert said["ready"] is True, "the log is read: nothing is wrong with the node"
    assert byes == {"unavailable"} and not any(hellos), "it has told somebody whom they follow, and cannot know"
    for person in people:
        for reader in person.readers:
            came, shown = reader.posts(), shown_by(reader)
            assert not set(not_any_more[person.uid]) & (set(came) | shown), "of somebody who is not followed any more"
            assert set(meanwhile[person.uid]) <= set(came) | shown or reader.events("gap")
            assert len(came) == len(set(came))
            assert {frame.data["reason"] for frame in reader.events("gap")} <= set(_BEHIND)
            assert_ids_never_go_back(reader.frames)
    # Whoever came with a cursor has had everything by it: the archive has all now.
    for person in people:
        for reader in person.readers[::2]:
            assert not reader.events("gap") and set(meanwhile[person.uid]) <= set(reader.posts())


def shown_by(reader: Reader) -> set[str]:
    """The ids of the events in its snapshots."""
    return {item["id"] for frame in reader.events("snapshot") for item in frame.data["items"]}
