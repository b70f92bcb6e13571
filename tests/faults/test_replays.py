"""What goes wrong while a stream is still catching up: G3, exactly once, from the ring or from the archive."""

import itertools
import random
from collections.abc import AsyncIterator

import pytest

from tests.doors import DOORS
from tests.faults.bare import Reader, assert_exactly
from tests.faults.beside import Beside, OneMore
from tests.faults.relay import holding

_BIG = 16_384
_SMALL_RING = {"RING_MAX_BYTES": str(2**20)}


@pytest.fixture(scope="module")
async def steady(beside: Beside) -> AsyncIterator[OneMore]:
    """A node that stays, for all tests here."""
    async with beside.node() as node:
        yield node


@pytest.fixture(scope="module")
async def forgetful(beside: Beside) -> AsyncIterator[OneMore]:
    """One with a small ring."""
    async with beside.node(**_SMALL_RING) as node:
        yield node


async def been_here(beside: Beside, edge: str, uid: int) -> str:
    """The cursor of somebody who had everything and left."""
    reader = Reader(lambda: beside.door_of_edge(edge, uid))
    async with beside.reading(reader):
        pass
    assert reader.at
    return reader.at


@DOORS
async def test_g3_a_node_killed_in_the_middle_of_a_replay_loses_and_repeats_nothing(
    beside: Beside, steady: OneMore, door: str
) -> None:
    uid, author = beside.uid(), beside.uid()
    await beside.follow(uid, [author])
    async with (
        beside.node() as dying,
        holding(dying, door, 50 * _BIG) as (through, relay),
        beside.edge(door, through) as first,
        beside.edge(door, steady) as second,
    ):
        at = await been_here(beside, second, uid)
        posted = await beside.post(author, 300, _BIG)
        edges = itertools.chain([first], itertools.repeat(second))
        reader = Reader(lambda: beside.door_of_edge(next(edges), uid), at)
        async with beside.reading(reader):
            await relay.held.wait()
            await reader.until(lambda r: len(r.posts()) >= 20)
            dying.process.kill()
            await dying.process.wait()
            relay.cut()
            await reader.until(lambda r: len(set(r.posts())) >= len(posted))

    half = sum(frame.connection == 1 for frame in reader.events("post"))
    assert 20 <= half < len(posted) / 2, "it was not in the middle"
    assert [hello.data["resumed"] for hello in reader.events("hello")] == [True, True]
    assert_exactly(reader, {author: posted})


@DOORS
async def test_g3_an_author_unfollowed_while_the_stream_replays_is_heard_no_more_and_the_others_wholly(
    beside: Beside, steady: OneMore, door: str
) -> None:
    uid, leaving, staying = (beside.uid() for _ in range(3))
    await beside.follow(uid, [leaving, staying])
    async with (
        holding(steady, door, 50 * _BIG) as (through, relay),
        beside.edge(door, through) as held,
        beside.edge(door, steady) as free,
    ):
        at = await been_here(beside, free, uid)
        gone: list[str] = []
        kept: list[str] = []
        for _ in range(25):
            gone += await beside.post(leaving, 20, _BIG)
            kept += await beside.post(staying, 20, _BIG)
        behind = Reader(lambda: beside.door_of_edge(held, uid), at)
        live = Reader(lambda: beside.door_of_edge(free, uid))
        async with beside.reading(behind, live):
            await relay.held.wait()
            await beside.follow(uid, [leaving], seq=2, on=False)
            await live.until(lambda r: bool(r.events("unfollow")))
            await beside.post(leaving, 5)
            kept += await beside.post(staying, 5)
            relay.open()
            await behind.until(lambda r: bool(r.events("unfollow")) and set(kept) <= set(r.posts()))

    theirs = [post for post in behind.posts() if post in set(gone)]
    print(f"\n{len(theirs)} of {len(gone)} had been sent before the unfollow")
    assert 0 < len(theirs) < len(gone), "what had not been sent yet is out with the unfollow"
    assert_exactly(behind, {leaving: gone[: len(theirs)], staying: kept})


@DOORS
async def test_g3_a_replay_from_the_archive_cut_again_and_again_is_exact(
    beside: Beside, forgetful: OneMore, door: str
) -> None:
    uid, others = beside.uid(), beside.uid()
    authors = [beside.uid() for _ in range(4)]
    await beside.follow(uid, authors)
    async with beside.edge(door, forgetful) as edge:
        at = await been_here(beside, edge, uid)
        posted = {author: await beside.post(author, 150) for author in authors}
        await beside.post(others, 100, _BIG)  # drives the rest out of the ring
        reader = Reader(lambda: beside.door_of_edge(edge, uid), at)
        async with beside.reading(reader):
            for cut_at in sorted(random.sample(range(1, 550), 12)):
                await reader.until(lambda r, cut_at=cut_at: len(r.posts()) >= cut_at)  # type: ignore[misc]
                reader.cut()
            last = await beside.post(authors[0])
            await reader.until(lambda r: last[0] in r.posts())

    posted[authors[0]] += last
    assert reader.connections == 13
    assert all(hello.data["resumed"] for hello in reader.events("hello"))
    assert_exactly(reader, posted)


@DOORS
async def test_g3_what_neither_ring_nor_archive_has_is_told_by_a_gap_and_served_when_the_archive_has_it(
    beside: Beside, forgetful: OneMore, door: str
) -> None:
    uid, author, others = (beside.uid() for _ in range(3))
    await beside.follow(uid, [author])
    async with beside.edge(door, forgetful) as edge:
        session = beside.door_of_edge(
            edge, uid
        )  # one that Redis knows: of another the archive could not say that it lives
        before = Reader(lambda: session)
        async with beside.reading(before):
            pass
        at = before.at
        await beside.system.stop("storekeeper-1")
        try:
            posted = await beside.post(author, 50)
            await beside.post(others, 100, _BIG)
            told = Reader(lambda: session, at)
            async with beside.reading(told):
                await told.until(lambda r: bool(r.events("snapshot")))
        finally:
            await beside.system.start("storekeeper-1")
        later = Reader(lambda: beside.door_of_edge(edge, uid), at)
        async with beside.reading(later):
            await later.until(lambda r: len(set(r.posts())) >= len(posted))

    assert [frame.event for frame in told.frames[:3]] == ["hello", "gap", "snapshot"]
    assert told.frames[0].data["resumed"] is False
    assert (told.frames[1].data["reason"], told.frames[1].data["from"]) == ("too-old", at)
    assert_exactly(later, {author: posted})


@DOORS
async def test_g6_a_full_node_refuses_one_more_stream_with_a_reason_and_takes_it_when_there_is_room(
    beside: Beside, door: str
) -> None:
    async with beside.node(STREAMS_PER_NODE="2") as node, beside.edge(door, node) as edge:
        doors = [beside.door_of_edge(edge, beside.uid()) for _ in range(3)]
        first, second, third = (Reader(itertools.repeat(door).__next__) for door in doors)
        async with beside.reading(first, second):
            await third.once()
            refused = list(third.frames)
        async with beside.reading(first, third):
            pass

    assert [frame.event for frame in refused] == ["bye"]
    assert refused[0].data["reason"] == "too-many"
    assert refused[0].data["retry"] >= 10_000
