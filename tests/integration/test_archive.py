"""The archive on a real server: everything once, the newest first, and the highest seq wins."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from local.process import Process
from store.archive import Archive, ArchiveUnavailable, open_archive
from store.cursor import Cursor
from store.events import EventType, FollowChange
from store.logbook import Turn
from tests.integration.conftest import settings_of
from tests.unit.logs import EPOCH, Log

THREE = {0: 0, 1: 0, 2: 0}


@pytest.fixture
async def archive(mongo: Process, names: dict[str, object]) -> AsyncIterator[Archive]:
    async with open_archive(settings_of(names, mongo)) as opened:
        await opened.ensure_indexes()
        await opened.log(lambda logbook: logbook.begin(EPOCH, THREE, THREE))
        yield opened


async def test_an_event_added_again_is_there_once_and_where_it_was_first(archive: Archive) -> None:
    log = Log(1)
    first = [log.append(1, id=n, text="x") for n in range(5)]
    await archive.add(EPOCH, first)
    await archive.add(EPOCH, first)

    kept = (await archive.newest([1], None, 100)).regardless("a test looks")

    assert [k.id for k in kept] == [a.id for a in reversed(first)]
    assert [k.value for k in kept] == [a.value for a in reversed(first)]


async def test_pages_go_on_where_the_last_one_ended_over_more_authors_than_one_query_takes(archive: Archive) -> None:
    log = Log(3)
    events = [log.append(author, id=author, text="x") for author in Random(1).sample(range(1, 451), 450)]
    await archive.add(EPOCH, events)

    got: list[str] = []
    before = None
    while page := (await archive.newest(range(1, 451), before, 100)).regardless("a test looks"):
        got += [kept.id for kept in page]
        before = got[-1]

    assert got == [event.id for event in reversed(events)]
    read: list[int] = []
    at = 0
    while at < 450:
        part, at = await archive.between(EPOCH, range(1, 451), 1, range(at, 450), limit=40, max_bytes=2**16)
        read += [kept.offset for kept in part]
        assert len(part) == 40 or at == 450
    assert read == list(range(sum(event.partition == 1 for event in events)))


async def test_what_one_call_reads_of_the_log_is_bounded_in_bytes_over_more_authors_than_one_query_takes(
    archive: Archive,
) -> None:
    log = Log(1)
    sizes = Random(2).sample(range(1, 4000), 60)
    events = [log.append(number % 30 + 1, id=number, text="x" * size) for number, size in enumerate(sizes)]
    await archive.add(EPOCH, events)

    at, read, calls = 0, list[int](), 0
    while at < 99:
        part, at = await archive.between(EPOCH, range(1, 31), 0, range(at, 99), limit=40, max_bytes=9000)
        assert sum(len(kept.value) for kept in part) <= 9000
        read += [kept.offset for kept in part]
        calls += 1
    assert read == list(range(60))
    assert calls < 2 * sum(len(event.value) for event in events) / 9000

    (one,), at = await archive.between(EPOCH, range(1, 31), 0, range(7, 99), limit=40, max_bytes=1)
    assert (one.offset, at) == (7, 8)


async def test_more_changes_than_one_call_takes_are_all_kept_done_once_or_twice(archive: Archive) -> None:
    changes = [FollowChange(1, followee, followee, True) for followee in range(2, 252)]
    for _ in range(2):
        await archive.change_follows(changes)

        assert (await archive.following(1)).regardless("a test looks") == {
            followee: followee for followee in range(2, 252)
        }


async def test_the_part_of_a_partition_is_read_in_the_logs_order(archive: Archive) -> None:
    log = Log(2)
    events = [log.append(author, id=n, text="x") for n, author in enumerate([2, 4, 1, 2, 6, 2, 4, 3])]
    await archive.add(EPOCH, events)

    async def offsets(authors: list[int], span: range, limit: int) -> tuple[list[int], int]:
        kept, end = await archive.between(EPOCH, authors, 0, span, limit=limit, max_bytes=2**16)
        return [one.offset for one in kept], end

    assert await offsets([2, 6], range(1, 4), 100) == ([2, 3], 4)
    assert await offsets([2, 4, 6], range(1, 5), 2) == ([1, 2], 3)
    assert await offsets([7], range(1, 5), 2) == ([], 5)


async def test_a_deleted_post_is_out_and_only_its_own_author_can_take_it_out(archive: Archive) -> None:
    log = Log(1)
    post = log.append(1, id=77, text="gone")
    other = log.append(2, id=78, text="stays")
    forged = log.append(1, EventType.POST_DELETED, id=78)
    deletion = log.append(1, EventType.POST_DELETED, id=77)
    for _ in range(2):  # as after a crash
        await archive.add(EPOCH, [post, other, forged, deletion])

    assert [kept.id for kept in (await archive.newest([1, 2], None, 10)).regardless("a test looks")] == [other.id]
    kept, _ = await archive.between(EPOCH, [1], 0, range(99), limit=10, max_bytes=2**16)
    assert [one.type for one in kept] == ["post-deleted", "post-deleted"]


async def test_the_highest_seq_of_a_pair_wins_in_whatever_order_they_come(archive: Archive) -> None:
    await archive.change_follows(
        [FollowChange(1, 2, 3, True), FollowChange(1, 2, 2, False), FollowChange(1, 3, 1, True)]
    )
    await archive.change_follows(
        [FollowChange(1, 2, 1, False), FollowChange(1, 3, 2, False), FollowChange(1, 4, 1, True)]
    )
    await archive.change_follows([FollowChange(1, 3, 1, True)])

    assert (await archive.following(1)).regardless("a test looks") == {2: 3, 4: 1}
    assert await archive.followers(2, 10) == [1]
    assert await archive.followers(3, 10) == []


async def test_a_deleted_post_does_not_come_back_with_a_member_that_was_overtaken(archive: Archive) -> None:
    log = Log(1)
    post, deletion = log.append(1, id=77, text="gone"), log.append(1, EventType.POST_DELETED, id=77)
    await archive.add(EPOCH, [post, deletion])

    await archive.add(EPOCH, [post])

    assert (await archive.newest([1], None, 10)).regardless("a test looks") == []


async def test_progress_only_goes_on_from_where_it_stands_and_is_that_of_its_topic(archive: Archive) -> None:
    async def advance(spans: dict[int, tuple[int, int]], epoch: str = EPOCH) -> bool:
        return await archive.log(lambda logbook: logbook.advance(epoch, spans))

    assert await advance({0: (0, 5), 2: (0, 7)})
    assert await advance({0: (2, 4)}), "done twice"
    assert not await advance({0: (5, 6), 1: (1, 2)}), "a hole in partition 1"
    assert not await advance({0: (5, 6)}, "deadbeef")
    assert await archive.progress() == Cursor(EPOCH, (5, 0, 7))

    await archive.log(lambda logbook: logbook.begin("deadbeef", THREE, {0: 9, 1: 9, 2: 9}))
    assert await archive.progress() == Cursor("deadbeef", (0, 0, 0))


async def test_an_archive_that_has_events_of_another_topic_is_never_emptied_and_goes_on(archive: Archive) -> None:
    log = Log(1)
    old, new = log.append(1, id=1, text="old"), log.append(1, id=2, text="new")
    await archive.add(EPOCH, [old])
    await archive.log(lambda logbook: logbook.start_emptying(EPOCH, "who was stopped by the loss of the topic", THREE))

    assert await archive.log(lambda logbook: logbook.start_emptying("deadbeef", "me", THREE)) is None, "it is another's"
    assert await archive.log(lambda logbook: logbook.begin("deadbeef", THREE, THREE)) == EPOCH
    assert await archive.log(lambda logbook: logbook.begin("deadbeef", THREE, THREE)) is None, "is told once"
    assert await archive.log(lambda logbook: logbook.start_emptying("deadbeef", "me", THREE)) is None
    assert await archive.log(lambda logbook: logbook.take("deadbeef", THREE, [0])) == {0: Turn(0, 1)}

    await archive.add("deadbeef", [replace(new, offset=0)])
    assert [kept.id for kept in (await archive.newest([1], None, 9)).regardless("a test looks")] == [new.id, old.id]
    kept, _ = await archive.between("deadbeef", [1], 0, range(9), limit=9, max_bytes=2**16)
    assert [one.id for one in kept] == [new.id]


async def test_each_turn_of_a_partition_has_a_number_of_its_own_and_begins_no_earlier_than_the_log(
    archive: Archive,
) -> None:
    firsts = {0: 4, 1: 0, 2: 0}

    one = await archive.log(lambda logbook: logbook.take(EPOCH, firsts, [0, 1]))
    two = await archive.log(lambda logbook: logbook.take(EPOCH, firsts, [1]))

    assert one == {0: Turn(4, 1), 1: Turn(0, 1)}
    assert two == {1: Turn(0, 2)}
    assert await archive.log(lambda logbook: logbook.take("deadbeef", firsts, [1])) is None


async def test_nothing_is_read_from_an_archive_that_is_not_whole(mongo: Process, names: dict[str, object]) -> None:
    log = Log(3)
    event = log.append(3, id=1, text="x")
    async with open_archive(settings_of(names, mongo)) as archive:

        async def refused(why: str) -> None:
            for reading in (
                archive.progress(),
                archive.following(3),
                archive.newest([3], None, 10),
                archive.between(EPOCH, [3], 0, range(9), limit=10, max_bytes=2**16),
                archive.is_ended(1, "sid"),
            ):
                with pytest.raises(ArchiveUnavailable, match=why):
                    await reading

        await archive.add(EPOCH, [event])
        await refused("no storekeeper has ever run")
        await archive.log(lambda logbook: logbook.begin(EPOCH, THREE, {0: 1, 1: 2, 2: 0}))
        await refused("3 records to come")
        await archive.log(lambda logbook: logbook.advance(EPOCH, {0: (0, 1), 1: (0, 2)}))
        assert [kept.id for kept in (await archive.newest([3], None, 10)).regardless("a test looks")] == [event.id]

        before = await archive.log(lambda logbook: logbook.start_emptying(EPOCH, "me", {0: 1, 1: 2, 2: 0}))
        assert before is not None and before.emptying is None
        await refused("being emptied; should that have stopped")
        assert not await archive.log(lambda logbook: logbook.advance(EPOCH, {0: (1, 2)}))
        assert await archive.log(lambda logbook: logbook.take(EPOCH, THREE, [0])) is None
        before = await archive.log(lambda logbook: logbook.start_emptying(EPOCH, "you", THREE))
        assert before is not None and before.emptying == "me"
        assert not await archive.log(lambda logbook: logbook.finish_emptying("me", THREE)), "taken over"
        assert await archive.log(lambda logbook: logbook.finish_emptying("you", THREE))
        assert (await archive.newest([4], None, 10)).regardless("a test looks") == []


async def test_an_ended_session_is_remembered(archive: Archive) -> None:
    await archive.end_sessions({"sid-1": datetime.now(UTC) + timedelta(hours=1)})

    assert (await archive.is_ended(1, "sid-1")).regardless("a test looks")
    assert not (await archive.is_ended(1, "sid-2")).regardless("a test looks")


async def test_an_answer_is_as_of_the_progress_that_was_read_before_it_and_of_none_if_that_has_gone_back(
    archive: Archive,
) -> None:
    begun = await archive.progress()
    await archive.log(lambda logbook: logbook.advance(EPOCH, {0: (0, 5)}))
    now = await archive.progress()

    async def positions(place: Cursor) -> list[Cursor | None]:
        following, newest = await archive.following(1, place), await archive.newest([1], None, 10, place)
        return [following.position, newest.position]

    assert await positions(begun) == [begun] * 2, "what has come in meanwhile may not be in the answer"
    assert await positions(now) == [now] * 2
    assert (await archive.following(1)).position == now == (await archive.is_ended(1, "sid")).position
    await archive._logbook._collection.update_one({}, {"$set": {"off.0": 2}})  # a backup is put back
    assert await positions(now) == [None] * 2


async def test_a_server_that_hangs_costs_a_reader_five_seconds_and_not_twice_that_and_many_no_more_than_one(
    archive: Archive, mongo: Process
) -> None:
    async def read(uid: int) -> float:
        began = time.monotonic()
        with pytest.raises(ArchiveUnavailable):
            await archive.following(uid)
        return time.monotonic() - began

    await archive.following(1)  # over a connection that is kept
    mongo.freeze()
    try:
        took = [await read(1), *await asyncio.gather(*map(read, range(100)))]
    finally:
        mongo.thaw()

    assert min(took) > 4 and max(took) < 8
    await archive.following(1)


async def test_a_server_that_is_away_is_an_error_within_a_bound(names: dict[str, object]) -> None:
    began = time.monotonic()
    settings = settings_of({**names, "mongo_url": "mongodb://127.0.0.1:9/?directConnection=true"})
    async with open_archive(settings) as away:
        with pytest.raises(ArchiveUnavailable, match="MongoDB"):
            await away.following(1)

    assert time.monotonic() - began < 30
