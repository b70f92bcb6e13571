"""G2, G3 and G4 in the pure middle: whatever the order in which nodes read, and wherever a stream is cut."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from store import cursor
from store.events import EventType
from store.follows import Follows
from stream.frames import Frame
from stream.hub import Hub
from stream.replay import here, place_at, take
from stream.ring import Ring
from stream.stream import Stream
from tests.unit.logs import Log, ModelNode

READER = 99


def opened(node: ModelNode, follows: set[int], at: str | None = None, uid: int = READER) -> Stream:
    stream = Stream(uid, "sid", 2**31, lambda: None)
    node.hub.add(stream)
    node.hub.subscribe(stream, Follows(dict.fromkeys(follows, 1)))
    place_at(stream, node.ring, cursor.decode(at).offsets if at else node.ring.next)
    return stream


def ids(frames: list[Frame], log: Log) -> list[str]:
    by_value = {a.value: a.id for records in log.records for a in records}
    return [by_value[frame.data] for frame in frames]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(2, 12))
def test_a_client_that_moves_between_nodes_gets_everything_once_and_in_order(
    seed: int, partitions: int, moves: int
) -> None:
    random = Random(seed)
    log = Log(partitions)
    nodes = [ModelNode(log, Random(seed + n)) for n in range(3)]
    follows = set(random.sample(range(1, 20), 8))
    begin = cursor.encode("0badcafe", [0] * partitions)
    at, got = begin, []
    for _ in range(moves):
        for _ in range(random.randrange(30)):
            log.append(random.randrange(1, 20))
        for node in nodes:
            node.read(random.randrange(40))
        node = random.choice(nodes)
        stream = opened(node, follows, at)
        for _ in range(random.randrange(4)):
            frames = take(stream, node.ring, random.choice([1, 300, 10**6]))
            cut = random.random() < 0.3
            arrived = frames[: random.randrange(len(frames) + 1)] if cut else frames
            for frame in arrived:
                assert cursor.decode(frame.id or "").covers(cursor.decode(at).offsets), "an id went back"
                at = frame.id or at
            got += arrived
            if cut:
                break
            if stream.place is None:
                at = here(stream, node.ring)
            node.read(random.randrange(20))
        node.hub.remove(stream)
    last = nodes[0]
    last.read()
    stream = opened(last, follows, at)
    while frames := take(stream, last.ring, 500):
        got += frames

    expected = [a.id for records in log.records for a in records if a.actor in follows]
    received = ids(got, log)
    assert sorted(received) == sorted(expected)
    for author in follows:
        theirs = [a.id for a in log.records[author % partitions] if a.actor == author]
        assert [event for event in received if event in set(theirs)] == theirs


def test_a_live_stream_is_told_of_its_authors_only_and_of_the_user() -> None:
    log = Log()
    node = ModelNode(log, Random(1))
    stream = opened(node, {1, 2})
    assert take(stream, node.ring, 10**6) == [] and stream.place is None

    mine = [log.append(1), log.append(READER), log.append(2)]
    log.append(3)
    node.read()

    assert sorted(ids(take(stream, node.ring, 10**6), log)) == sorted(a.id for a in mine)
    assert stream.place is None


def test_nothing_is_kept_for_a_stream_that_does_not_read() -> None:
    log = Log()
    node = ModelNode(log, Random(1))
    slow, quick = opened(node, {1}), opened(node, {1})
    take(slow, node.ring, 10**6)
    take(quick, node.ring, 10**6)

    for _ in range(500):
        log.append(1)
        node.read()
        assert len(take(quick, node.ring, 10**6)) == 1

    assert slow.place == 0
    assert len(take(slow, node.ring, 10**9)) == 500


def test_the_frame_of_a_live_event_is_one_object_for_all_its_readers() -> None:
    log = Log()
    node = ModelNode(log, Random(1))
    streams = [opened(node, {1}, uid=uid) for uid in (50, 51, 52)]
    for stream in streams:
        take(stream, node.ring, 10**6)
    log.append(1)
    node.read()

    frames = {id(take(stream, node.ring, 10**6)[0]) for stream in streams}

    assert len(frames) == 1


def test_a_cursor_ahead_of_the_node_skips_what_was_delivered_and_never_goes_back() -> None:
    log = Log(1)
    for _ in range(10):
        log.append(1)
    ahead, lagging = ModelNode(log, Random(1)), ModelNode(log, Random(2))
    ahead.read()
    lagging.read(4)
    at = ahead.ring.cursor()
    stream = opened(lagging, {1}, at)

    assert take(stream, lagging.ring, 10**6) == []
    assert here(stream, lagging.ring) == at
    lagging.read()
    assert take(stream, lagging.ring, 10**6) == []
    new = log.append(1)
    lagging.read()
    assert ids(take(stream, lagging.ring, 10**6), log) == [new.id]
    assert stream.past is None


def test_follow_and_unfollow_take_effect_with_their_own_delivery() -> None:
    log = Log(1)
    node = ModelNode(log, Random(1))
    stream = opened(node, {1})
    take(stream, node.ring, 10**6)

    expected = []
    for seq, on in ((2, False), (3, True), (4, False)):
        log.follow(READER, 1, seq, on=on)
        node.read()
        log.append(1)
        node.read()
        expected += ["follow", "post"] if on else ["unfollow"]
    got = take(stream, node.ring, 10**6)

    # The last word counts for what has not been delivered yet: the post that came while the author was followed is out again.
    assert [frame.event for frame in got] == ["unfollow", "follow", "unfollow"]
    assert expected == ["unfollow", "follow", "post", "unfollow"]
    assert 1 not in stream.follows


def test_what_the_followee_did_after_the_follow_arrives_even_if_the_node_saw_it_before() -> None:
    log = Log(2)  # the reader's events are in partition 1, those of author 2 in partition 0
    node = ModelNode(log, Random(1))
    stream = opened(node, set())
    take(stream, node.ring, 10**6)
    before = log.append(2)
    log.follow(READER, 2, 1)
    after = log.append(2)
    node.hub.deliver([entry for a in (before, after) if (entry := node.ring.append(a, 0))])
    node.read()

    frames = take(stream, node.ring, 10**6)
    again = opened(node, {2}, cursor.encode("0badcafe", [2, 0]))

    assert ids(frames, log) == [after.id, log.records[1][0].id]
    assert frames[0].id is None and frames[1].id is not None
    assert ids(take(again, node.ring, 10**6), log) == [after.id, log.records[1][0].id]
    assert take(stream, node.ring, 10**6) == []


def test_a_follow_that_the_client_has_had_and_the_node_reads_late_still_brings_what_the_node_saw_before_it() -> None:
    log = Log(2)  # the reader's events are in partition 1, those of author 2 in partition 0
    node = ModelNode(log, Random(1))
    log.follow(READER, 2, 1)
    had = log.append(2)
    at = cursor.encode("0badcafe", [1, 1])  # a node that had read both delivered both
    new = [log.append(2), log.append(2)]
    stream = opened(node, set(), at)
    take(stream, node.ring, 10**6)
    node.hub.deliver([entry for a in (had, *new) if (entry := node.ring.append(a, 0))])
    node.read()

    frames = take(stream, node.ring, 10**6)
    again = opened(node, {2}, frames[-1].id)

    assert ids(frames, log) == [event.id for event in new]
    assert take(again, node.ring, 10**6) == []
    assert stream.place is None and stream.past is None


def test_an_older_follow_never_undoes_a_newer_one() -> None:
    log = Log(1)
    node = ModelNode(log, Random(1))
    stream = Stream(READER, "sid", 2**31, lambda: None)
    log.follow(READER, 1, 4, on=False)
    log.follow(READER, 2, 2)
    node.read()
    node.hub.add(stream)

    node.hub.subscribe(stream, Follows({1: 5, 2: 1, 3: 1}))

    assert stream.follows == {1: 5, 2: 2, 3: 1}


def test_a_change_newer_than_the_cache_is_taken_from_the_ring() -> None:
    log = Log(1)
    node = ModelNode(log, Random(1))
    log.follow(READER, 1, 7, on=False)
    log.follow(READER, 8, 1)
    node.read()

    stream = opened(node, {1, 2})

    assert set(stream.authors) == {READER, 2, 8}


def test_a_sign_out_ends_the_streams_of_that_session_and_no_other() -> None:
    log = Log()
    node = ModelNode(log, Random(1))
    mine, other = Stream(5, "a", 2**31, lambda: None), Stream(5, "b", 2**31, lambda: None)
    for stream in (mine, other):
        node.hub.add(stream)
        node.hub.subscribe(stream, Follows())
    log.append(5, EventType.LOGOUT, sid="a")
    node.read()

    assert (mine.end, other.end) == ("signed-out", None)


@given(st.integers(0, 2**32))
def test_the_hub_forgets_a_stream_wholly(seed: int) -> None:
    random = Random(seed)
    log = Log()
    node = ModelNode(log, Random(seed))
    streams = [opened(node, set(random.sample(range(1, 30), 5)), uid=uid) for uid in range(40, 50)]
    for seq in range(1, 30):
        log.follow(random.randrange(40, 50), random.randrange(1, 30), seq + 1, on=random.random() < 0.5)
        node.read()
    for stream in streams:
        node.hub.remove(stream)

    assert len(node.hub) == 0 and not node.hub._by_author and not node.hub._by_user


def test_a_batch_is_at_most_as_many_bytes_as_it_may_be_or_one_frame() -> None:
    log = Log()
    node = ModelNode(log, Random(1))
    for size in [*Random(2).sample(range(1, 3000), 200), 9000, 1, 9000]:
        log.append(1, text="x" * size)
    node.read()
    stream = opened(node, {1}, cursor.encode("0badcafe", [0, 0, 0]))

    got: list[Frame] = []
    while frames := take(stream, node.ring, 4096):
        assert len(frames) == 1 or max(sum(len(f.sse) for f in frames), sum(len(f.message) for f in frames)) <= 4096
        got += frames
    assert ids(got, log) == [event.id for event in log.records[1]]


def test_an_event_that_the_snapshot_showed_and_the_node_reads_later_is_not_sent_again() -> None:
    log = Log(1)
    node = ModelNode(log, Random(1))
    shown = [log.append(1), log.append(1), log.append(1)]
    node.read(1)
    stream = opened(node, {1}, cursor.encode("0badcafe", [0]))
    stream.repeats = frozenset(event.id for event in shown)

    assert take(stream, node.ring, 10**6) == [] and stream.place is None
    assert stream.repeats == {event.id for event in shown[1:]}  # which is what it waits for, and not live until then
    node.read(1)
    assert take(stream, node.ring, 10**6) == [] and stream.repeats == {shown[2].id}
    new = log.append(1)
    node.read()
    assert ids(take(stream, node.ring, 10**6), log) == [new.id]
    assert not stream.repeats


def test_what_the_ring_has_dropped_or_never_had_is_not_waited_for() -> None:
    log = Log(1)
    before, dropped, there = log.append(1), log.append(1), log.append(1)
    node = ModelNode(log, Random(1), seconds=10)
    node.ring = Ring("0badcafe", [1], seconds=10, max_bytes=10**9, since=before.id)
    node.hub = Hub(node.ring)
    node.read(1)
    node.now = 11
    node.read()
    stream = opened(node, {1}, cursor.encode("0badcafe", [2]))
    stream.repeats = frozenset((before.id, dropped.id, there.id))

    assert take(stream, node.ring, 10**6) == []
    assert not stream.repeats
