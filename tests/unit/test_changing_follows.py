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
        read = sum(1 for entry in node.ring.of_authors({_READER}, 0))
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
