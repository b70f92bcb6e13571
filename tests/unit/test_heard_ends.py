"""Ends of sessions that were told beside the log: they count until the log has them, and are bounded."""

from random import Random

import pytest

from store.events import EventType
from store.follows import Follows
from store.session_ends import SessionEnd, encode_ends, parse_ends
from stream import heard_ends
from stream.heard_ends import HeardEnds
from stream.stream import Stream
from tests.unit.logs import Log, ModelNode

FAR = 2**40
SID, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_end_counts_for_its_session_and_an_account_for_all_of_the_user() -> None:
    heard = HeardEnds()
    heard.note(7, SID)
    heard.note(8, None)

    assert (7, SID) in heard and (8, SID) in heard and (8, None) in heard
    assert (7, OTHER) not in heard and (7, None) not in heard and (9, SID) not in heard


def test_an_end_counts_for_a_day_and_is_gone_then() -> None:
    clock = Clock()
    heard = HeardEnds(clock)
    heard.note(7, SID)
    clock.now += 24 * 3600 - 1
    assert (7, SID) in heard
    heard.note(7, SID)  # told again, it is the same end
    clock.now += 2

    assert (7, SID) not in heard
    heard.note(8, SID)
    assert len(heard) == 1


def test_the_ends_are_bounded_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard_ends, "_AT_MOST", 3)
    heard = HeardEnds()
    for uid in range(1, 6):
        heard.note(uid, SID)

    assert [uid for uid in range(1, 6) if (uid, SID) in heard] == [3, 4, 5]


def opened(node: ModelNode, uid: int, sid: str) -> Stream:
    stream = Stream(uid, sid, FAR)
    node.hub.add(stream)
    node.hub.subscribe(stream, Follows({1: 1}))
    stream.place = None
    return stream


def test_g5_an_end_heard_beside_the_log_ends_the_sessions_streams_and_nobody_comes_back_with_it() -> None:
    node = ModelNode(Log(), Random(1))
    left = opened(node, 7, SID)
    node.hub.remove(left)
    here, other, stranger = opened(node, 7, SID), opened(node, 7, OTHER), opened(node, 8, SID)
    assert node.hub.has_seen_no_end(7, SID)

    node.hub.hear_end(7, SID)

    assert (here.end, other.end, stranger.end) == ("signed-out", None, None)
    assert node.hub.has_seen_end(7, SID) and not node.hub.has_seen_end(7, OTHER)
    node.hub.remove(here)
    assert not node.hub.has_seen_no_end(7, SID)


def test_g5_the_end_of_an_account_heard_beside_the_log_ends_all_of_the_users_streams() -> None:
    node = ModelNode(Log(), Random(1))
    streams = [opened(node, 7, SID), opened(node, 7, OTHER)]

    node.hub.hear_end(7)

    assert [stream.end for stream in streams] == ["signed-out"] * 2
    assert node.hub.has_seen_end(7, "any")


@pytest.mark.parametrize("log_first", [False, True])
@pytest.mark.parametrize("sid", [SID, None])
def test_an_end_is_noted_until_the_log_has_it_whichever_tells_it_first(log_first: bool, sid: str | None) -> None:
    log = Log()
    node = ModelNode(log, Random(1))
    log.append(7, EventType.LOGOUT if sid else EventType.ACCOUNT_DELETED, sid=sid)
    for heard in (not log_first, log_first):
        if heard:
            node.hub.hear_end(7, sid)
        else:
            node.read()

    assert node.hub.has_seen_end(7, sid)
    assert len(node.hub._heard_ends) == 0


def test_a_message_says_what_it_was_made_of() -> None:
    ends = [SessionEnd(7, SID), SessionEnd(8), SessionEnd(2**40, OTHER)]

    assert parse_ends(encode_ends(ends)) == ends
    assert parse_ends(encode_ends([])) == []


@pytest.mark.parametrize(
    "message",
    [b"x", b"0", b"-1", b"7:", b":" + SID.encode(), b"7:" + SID.encode() + b"0", b"7:" + SID.upper().encode() + b"G",
     b"\xff\xfe", "7".encode("utf-16"), "\u0667".encode(), b"9" * 40, 7, None, "7"],
)  # fmt: skip
def test_what_is_no_end_is_left_out_and_the_others_count(message: object) -> None:
    assert parse_ends(message) == []
    if isinstance(message, bytes):
        assert parse_ends(b"7 " + message + b" 8") == [SessionEnd(7), SessionEnd(8)]
