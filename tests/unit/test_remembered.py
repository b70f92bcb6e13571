"""What a node remembers of people who left is as true as an open stream: G3, and for their sessions G5."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from store.events import EventType
from store.follows import Follows
from stream.reasons import EndReason
from stream.remembered import Remembered
from stream.stream import Stream
from tests.unit.logs import Log, ModelNode

READER = 99


def opened(node: ModelNode, follows: Follows | None, sid: str = "sid") -> Stream:
    stream = Stream(READER, sid, 2**31, lambda: None)
    node.hub.add(stream)
    if follows is not None:
        node.hub.subscribe(stream, follows)
    return stream


def node_of(log: Log) -> ModelNode:
    return ModelNode(log, Random(1))


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.booleans())))
def test_it_knows_whom_somebody_follows_who_left_whatever_they_did_elsewhere(
    steps: list[tuple[int, bool, bool]],
) -> None:
    log, model = Log(3), {1: 1, 2: 1}
    node = node_of(log)
    here: Stream | None = opened(node, Follows(model))
    for seq, (followee, on, comes_or_goes) in enumerate(steps, start=2):
        if comes_or_goes and here is not None:
            node.hub.remove(here)
            here = None
        elif comes_or_goes:
            known = node.hub.known_follows(READER)
            assert known == Follows(model)
            here = opened(node, known)
        log.follow(READER, followee, seq, on=on)
        node.read()
        if on:
            model[followee] = seq
        else:
            model.pop(followee, None)

    assert node.hub.knows(READER)
    assert node.hub.known_follows(READER) == Follows(model)


def test_it_knows_nobody_who_was_not_told_whom_they_follow_and_nobody_after_a_restart() -> None:
    log = Log(3)
    node = node_of(log)
    node.hub.remove(opened(node, None))
    assert not node.hub.knows(READER) and node.hub.known_follows(READER) is None

    node.hub.remove(opened(node, Follows({1: 1})))
    assert node.hub.knows(READER)
    assert not node_of(log).hub.knows(READER)


def test_a_gap_in_the_log_makes_it_forget_everybody_and_those_who_are_open_when_they_leave() -> None:
    node = node_of(Log(3))
    stream = opened(node, Follows({1: 1}))
    other = opened(node, Follows({1: 1}), "other")
    node.hub.remove(other)
    node.hub.lose_log()

    assert stream.end == "rotate"
    assert not node.hub.knows(READER) and not node.hub.has_seen_no_end(READER, "sid")
    node.hub.remove(stream)
    assert not node.hub.knows(READER) and not node.hub.has_seen_no_end(READER, "sid")
    assert not node.hub._in_doubt


def test_two_streams_of_a_user_don_t_share_what_changes() -> None:
    log = Log(3)
    node = node_of(log)
    first = opened(node, Follows({1: 1}))
    second = opened(node, node.hub.known_follows(READER))
    log.follow(READER, 2, 2)
    node.read()

    assert first.follows == second.follows == {1: 1, 2: 2}
    assert first.joined and second.joined and first.joined.keys() == second.joined.keys() == {2}


def test_it_says_that_a_session_lives_only_if_it_was_here_and_its_end_was_not_seen() -> None:
    log = Log(3)
    node = node_of(log)
    streams = [opened(node, Follows({1: 1}), sid) for sid in ("a", "b", "c", "d")]
    assert node.hub.has_seen_no_end(READER, "a") and not node.hub.has_seen_no_end(READER, "never here")

    node.hub.end(streams[1], EndReason.DRAIN)  # ended for another reason before it was signed out
    log.append(READER, EventType.LOGOUT, sid="b")
    node.read()
    for stream in streams[:3]:
        node.hub.remove(stream)
    assert node.hub.has_seen_no_end(READER, "a") and not node.hub.has_seen_no_end(READER, "b")
    assert node.hub.has_seen_end(READER, "b") and not node.hub.has_seen_end(READER, "a")

    log.append(READER, EventType.LOGOUT, sid="a")  # while it was away
    node.read()
    assert not node.hub.has_seen_no_end(READER, "a") and node.hub.has_seen_no_end(READER, "c")

    log.append(READER, EventType.ACCOUNT_DELETED)
    node.read()
    assert not any(node.hub.has_seen_no_end(READER, sid) for sid in "abcd")
    assert all(node.hub.has_seen_end(READER, sid) for sid in "abcd")


def test_it_is_bounded_in_bytes_and_in_age() -> None:
    remembered = Remembered(seconds=600)
    follows = Follows(dict.fromkeys(range(10**6, 10**6 + 200), 1))
    for uid in range(1, 40_000):
        remembered.keep(uid, "sid", follows.copy())
    assert 10_000 < len(remembered) < 30_000
    assert remembered.knows(39_999) and not remembered.knows(1)
    remembered.forget_all()
    assert remembered._bytes == 0

    short = Remembered(seconds=0)
    short.keep(1, "sid", Follows({1: 1}))
    assert not short.knows(1) and len(short) == 0 and short._bytes == 0
