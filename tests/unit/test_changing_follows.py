"""G2 and G3 in the pure middle for a reader who follows and unfollows all the time, on nodes that read in orders of their own."""

from random import Random

import pytest

from store import cursor
from store.events import Arrival
from store.follows import Follows
from stream.frames import Frame
from stream.replay import here, place_at, take
from stream.stream import Stream
from tests.unit.logs import Log, ModelNode

_READER = 99
_AUTHORS = range(1, 6)


class Life:
    """What is done, and what the reader gets of it."""

    def __init__(self, seed: int, partitions: int) -> None:
        self.random = Random(seed)
        self.log = Log(partitions)
        self.nodes = [ModelNode(self.log, Random(seed + n)) for n in range(2)]
        self.done: list[Arrival] = []
        self.follows: list[dict[int, int]] = [{}]  # as they were after each change
        self.seqs: dict[int, int] = {}
        self.since: dict[int, str] = {}  # whom the reader follows, with the id of the follow
        self.at = cursor.encode("0badcafe", [0] * partitions)
        self.got: list[str] = []

    def act(self) -> None:
        author = self.random.choice(_AUTHORS)
        if self.random.random() < 0.05 and (changes := self.log.records[_READER % self.log.partitions]):
            told = self.random.choice(changes)
            if told.actor == _READER:
                self.log.repeat(told)  # told twice: it changes nothing
                return
        if self.random.random() < 0.7:
            self.done.append(self.log.append(author))
            return
        on = author not in self.since
        self.seqs[author] = self.seqs.get(author, 0) + 1
        self.log.follow(_READER, author, self.seqs[author], on=on)
        now = dict(self.follows[-1])
        if on:
            self.since[author] = self.log.records[_READER % self.log.partitions][-1].id
            now[author] = self.seqs[author]
        else:
            del self.since[author], now[author]
        self.follows.append(now)

    def connect(self, node: ModelNode) -> Stream:
        """To a node that has read as far as the client, with what the archive knows, which may be old."""
        while not all(map(int.__ge__, node.ring.next, cursor.decode(self.at).offsets)):
            node.read(1)
        changes = [entry.arrival.change for entry in node.ring.of_author(_READER)]
        read = len({(change.followee, change.seq) for change in changes if change})
        stream = Stream(_READER, "sid", 2**31, lambda: None)
        node.hub.add(stream)
        node.hub.subscribe(stream, Follows(self.random.choice(self.follows[: read + 1])))
        place_at(stream, node.ring, cursor.decode(self.at).offsets)
        return stream

    def receive(self, frames: list[Frame]) -> None:
        by_value = {arrival.value: arrival.id for arrival in self.done}
        for frame in frames:
            self.at = frame.id or self.at
            if frame.data in by_value:
                self.got.append(by_value[frame.data])


def live(seed: int, partitions: int, connections: int) -> Life:
    """A life of so many connections, to its end, when everything has been read."""
    life = Life(seed, partitions)
    random = life.random
    for left in reversed(range(connections)):
        node = random.choice(life.nodes)
        stream = life.connect(node)
        for _ in range(random.randrange(1, 8)):
            for _ in range(random.randrange(12)):
                life.act()
            for other in life.nodes:
                other.read(random.randrange(15))
            life.receive(take(stream, node.ring, random.choice([1, 200, 10**6])))
            if stream.place is None:
                life.at = here(stream, node.ring)
        if left == 0:
            node.read()
            while stream.place is not None:
                life.receive(take(stream, node.ring, random.choice([1, 200, 10**6])))
            assert dict(stream.follows) == life.follows[-1], f"{seed=}"
        node.hub.remove(stream)
    return life


@pytest.mark.parametrize("partitions", [1, 2, 4])
@pytest.mark.parametrize("connections", [1, 2])
def test_whoever_is_followed_at_the_end_is_heard_wholly_and_everybody_in_their_order(
    partitions: int, connections: int
) -> None:
    for seed in range(300):
        life = live(seed, partitions, connections)

        first = list(dict.fromkeys(life.got))
        for author in _AUTHORS:
            came = [arrival.id for arrival in life.done if arrival.actor == author]
            heard = [event for event in first if event in set(came)]
            assert heard == sorted(heard), f"an author's events came out of order: {seed=}"
            if author in life.since:
                wanted = {event for event in came if event > life.since[author]}
                assert wanted <= set(heard), f"something is missing: {seed=}"


def test_a_follow_that_comes_behind_its_unfollow_is_not_done_again_here_or_while_the_reader_is_away() -> None:
    log = Log(3)
    node = ModelNode(log, Random(1))
    stream = Stream(_READER, "sid", 2**31, lambda: None)
    node.hub.add(stream)
    node.hub.subscribe(stream, Follows())
    place_at(stream, node.ring, [0, 0, 0])
    log.follow(_READER, 1, 4, on=False)
    log.follow(_READER, 1, 3)  # a dead letter that was driven again
    log.append(1)
    node.read()

    assert dict(stream.follows) == {}
    assert [frame.event for frame in take(stream, node.ring, 10**6)] == ["unfollow", "follow"]
    node.hub.remove(stream)
    log.follow(_READER, 1, 2)
    node.read()
    known = node.hub.known_follows(_READER)
    assert known == Follows()
    again = Stream(_READER, "sid", 2**31, lambda: None)
    node.hub.add(again)
    node.hub.subscribe(again, known, node.ring.next)
    assert dict(again.follows) == {}


def test_what_a_source_has_already_is_not_done_again_when_the_ring_has_only_the_older_change() -> None:
    log = Log(3)
    node = ModelNode(log, Random(1), seconds=10)
    log.follow(_READER, 1, 4, on=False)
    node.read()
    node.now = 9
    log.follow(_READER, 1, 3)
    node.read()
    node.ring.expire(15)
    assert len(node.ring) == 1
    stream = Stream(_READER, "sid", 2**31, lambda: None)
    node.hub.add(stream)
    node.hub.subscribe(stream, Follows(), node.ring.next)

    assert dict(stream.follows) == {}


def test_users_without_recent_unfollows_cost_no_more_for_it() -> None:
    log = Log(3)
    node = ModelNode(log, Random(1))
    follows = Follows(dict.fromkeys(range(10, 210), 1))
    before = follows.bytes
    stream = Stream(_READER, "sid", 2**31, lambda: None)
    node.hub.add(stream)
    node.hub.subscribe(stream, follows)
    for followee in range(1, 100):
        log.follow(_READER, followee + 1000, 1)
        log.follow(_READER, followee + 1000, 2, on=False)
    node.read()

    assert len(stream.follows) == 200
    assert stream.follows.bytes <= 2 * before
