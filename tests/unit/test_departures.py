"""The end of an account, on a node: followers are told, and the user's own streams end."""

from random import Random

from store.events import EventType
from store.follows import Follows
from stream.replay import place_at, take
from stream.stream import Stream
from tests.unit.logs import Log, ModelNode


def opened(node: ModelNode, uid: int, sid: str, follows: dict[int, int]) -> Stream:
    stream = Stream(uid, sid, 2**31, lambda: None)
    node.hub.add(stream)
    node.hub.subscribe(stream, Follows(follows))
    place_at(stream, node.ring, node.ring.next)
    take(stream, node.ring, 1)
    return stream


def test_followers_are_told_once_and_every_stream_of_the_user_ends_after_it() -> None:
    log = Log(2)
    node = ModelNode(log, Random(1))
    own = [opened(node, 5, sid, {}) for sid in ("a", "b")]
    follower, stranger = opened(node, 6, "c", {5: 1}), opened(node, 7, "d", {})
    log.append(5, EventType.ACCOUNT_DELETED)
    node.read(10)

    told = {
        stream.sid: [frame.event for frame in take(stream, node.ring, 10**6)] for stream in (*own, follower, stranger)
    }
    assert told == {"a": ["account-deleted"], "b": ["account-deleted"], "c": ["account-deleted"], "d": []}
    assert [stream.end for stream in (*own, follower, stranger)] == ["signed-out", "signed-out", None, None]
