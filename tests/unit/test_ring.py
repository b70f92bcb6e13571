"""The ring keeps the recent past complete, in order, and bounded."""

import gc
import tracemalloc
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import cursor
from store.events import EventType
from stream.ring import Ring
from tests.unit.logs import EPOCH, Log, ModelNode, arrival


def filled(authors: list[int], seed: int = 1, **bounds: float) -> tuple[Log, ModelNode]:
    log = Log()
    for author in authors:
        log.append(author)
    node = ModelNode(log, Random(seed), **bounds)  # type: ignore[arg-type]
    node.read()
    return log, node


@given(st.lists(st.integers(1, 200), max_size=300), st.sets(st.integers(1, 200), max_size=150), st.integers(0, 300))
def test_the_index_finds_what_a_look_at_every_entry_finds(authors: list[int], wanted: set[int], start: int) -> None:
    _, node = filled(authors)
    every = [node.ring[seq] for seq in range(len(authors))]

    found = list(node.ring.of_authors(wanted, start))

    assert found == [entry for entry in every[start:] if entry.arrival.actor in wanted]


def test_every_entry_carries_the_cursor_of_those_who_have_had_everything_up_to_it() -> None:
    _, node = filled([1, 2, 3, 4, 5, 6, 1, 2])
    seen = [0, 0, 0]

    for seq in range(8):
        entry = node.ring[seq]
        seen[entry.arrival.partition] = entry.arrival.offset + 1
        assert entry.frame.id == cursor.encode(EPOCH, seen)


def test_the_oldest_go_when_there_are_too_many_bytes_and_the_floor_tells_so() -> None:
    log, node = filled([3] * 100, max_bytes=2000)

    assert node.ring.bytes <= 2000
    assert node.ring.floor[0] == 100 - len(node.ring) > 0
    assert node.ring.reaches([node.ring.floor[0], 0, 0])
    assert not node.ring.reaches([node.ring.floor[0] - 1, 0, 0])
    assert len(log.records[0]) == 100


def test_the_oldest_go_when_they_are_too_old_even_when_nothing_new_comes() -> None:
    _, node = filled([1, 2, 3], seconds=10)

    node.ring.expire(9.9)
    assert len(node.ring) == 3
    node.ring.expire(10.1)
    assert len(node.ring) == 0
    assert node.ring.floor == [1, 1, 1]


def test_a_ring_that_has_dropped_thousands_holds_no_trace_of_them() -> None:
    _, node = filled(list(range(1, 5001)), max_bytes=3000)

    assert len(node.ring._entries) < 2500
    assert len(node.ring._by_author) == len(node.ring)
    newest = node.ring[node.ring.head - 1]
    assert list(node.ring.of_authors({newest.arrival.actor}, 0)) == [newest]


def test_a_record_read_twice_is_there_once() -> None:
    ring = Ring(EPOCH, [0], seconds=10, max_bytes=10**6)
    first = arrival(0, 0, 7)

    assert ring.append(first, 0) is not None
    assert ring.append(first, 0) is None
    assert len(ring) == 1


@given(st.lists(st.integers(1, 30), max_size=80), st.integers(0, 1000), st.data())
def test_behind_the_place_of_a_cursor_stands_everything_that_it_lacks(
    authors: list[int], seed: int, data: st.DataObject
) -> None:
    log, node = filled(authors, seed)
    offsets = [data.draw(st.integers(0, len(records))) for records in log.records]

    place = node.ring.seq_from(offsets)

    before = {(e.arrival.partition, e.arrival.offset) for e in map(node.ring.__getitem__, range(place))}
    assert all(offset < offsets[partition] for partition, offset in before)


@pytest.mark.parametrize("text", ["x", "x" * 1000, "😀" * 1000])
@pytest.mark.parametrize("forms", [(), ("sse",), ("sse", "message"), ("sse", "ws")])
def test_its_bytes_are_those_that_it_keeps(text: str, forms: tuple[str, ...]) -> None:
    ring = Ring(EPOCH, [0] * 12, seconds=1e9, max_bytes=10**9)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(2000):
            ring.append(arrival(n % 12, 100_000 + n, n % 100 + 1, text=text), float(n))
        for seq in range(2000):
            for form in forms:
                getattr(ring[seq].frame, form)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert kept * 0.9 < ring.bytes < kept * 1.25
    ring.expire(2e9)
    assert ring.bytes == 0 and not ring._ids


def test_what_is_encoded_later_makes_the_oldest_go_at_the_next_event() -> None:
    ring = Ring(EPOCH, [0], seconds=1e9, max_bytes=100_000)
    for n in range(40):
        ring.append(arrival(0, n, 1, text="x" * 1000), 0.0)
    held = len(ring)
    for seq in range(ring.oldest, ring.head):
        assert ring[seq].frame.sse
        assert ring[seq].frame.message
    ring.append(arrival(0, 40, 1, text="x" * 1000), 0.0)

    assert held == 40 and 0 < len(ring) < 30
    assert ring.bytes <= 100_000


def test_the_greatest_id_that_is_gone_tells_what_may_still_come() -> None:
    log, node = filled([3] * 10, seconds=10)
    first, last, later = log.records[0][0], log.records[0][9], log.append(3)

    assert node.ring.has_passed(last.id) and not node.ring.has_passed(later.id)
    node.ring.expire(11)
    assert node.ring.has_passed(first.id) and node.ring.has_passed(last.id) and not node.ring.has_passed(later.id)


def test_a_record_that_stands_twice_in_the_log_is_one_entry() -> None:
    log, node = filled([3, 4, 3])

    again = replace(log.records[0][0], offset=2)

    assert node.ring.append(again, 0) is None
    assert node.ring.next[0] == 3
    assert len(node.ring) == 3


def test_a_post_that_comes_again_behind_its_deletion_is_not_shown_again() -> None:
    log = Log()
    post = log.append(3, id=7, text="taken back")
    log.append(3, EventType.POST_DELETED, id=7)
    other = log.append(3, id=8, text="stays")
    node = ModelNode(log, Random(1), seconds=10)
    node.ring.append(post, 0)
    node.ring.append(log.records[0][1], 9)
    node.ring.expire(11)  # the post has gone out of the ring, its deletion has not

    assert node.ring.append(replace(post, offset=2), 12) is None
    assert node.ring.append(replace(other, offset=3), 12) is not None
    assert node.ring.append(replace(other, actor=6, id=post.id, offset=4), 12) is not None  # somebody else's


def test_an_older_event_that_was_put_back_into_the_log_is_an_entry() -> None:
    log = Log()
    older, newer = log.append(3, id=7, text="was a dead letter"), log.append(3, id=8, text="x")
    ring = Ring(EPOCH, [0, 0, 0], seconds=10, max_bytes=10**6)

    assert ring.append(replace(newer, offset=0), 0) is not None
    assert ring.append(replace(older, offset=1), 0) is not None


def test_what_is_known_of_a_pair_goes_with_its_last_change() -> None:
    log, ring = Log(), Ring(EPOCH, [0, 0, 0], seconds=10, max_bytes=10**6)
    for seq in (1, 2):
        log.follow(3, 4, seq, on=seq == 1)
    on, off = log.records[0]
    ring.append(on, 0)
    ring.append(off, 5)
    ring.expire(11)  # the unfollow is still here
    late = ring.append(replace(on, offset=2), 12)
    assert late is not None and late.is_superseded

    ring.expire(100)
    assert ring._newest_change == {}
