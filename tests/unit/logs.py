"""A log in memory, and nodes that read it each in an order of their own: what Kafka and the tail are to the pure modules."""

from dataclasses import dataclass, field, replace
from random import Random

from store.events import Arrival, EventType, FollowChange, Person, encode, new_event, parse_arrival, record_of
from stream.hub import Hub
from stream.ring import Entry, Ring

EPOCH = "0badcafe"


def arrival(
    partition: int,
    offset: int,
    author: int,
    type: EventType = EventType.POST,
    *,
    sid: str | None = None,
    **object: object,
) -> Arrival:
    event = new_event(type, Person(author, f"user{author}"), object)
    record = record_of(event.id, type, author, encode(event), sid)
    return parse_arrival(partition, offset, record.key, record.value, record.headers)


@dataclass
class Log:
    """Authors are spread over the partitions by their id."""

    partitions: int = 3
    records: list[list[Arrival]] = field(init=False)

    def __post_init__(self) -> None:
        self.records = [[] for _ in range(self.partitions)]

    def append(
        self, author: int, type: EventType = EventType.POST, *, sid: str | None = None, **object: object
    ) -> Arrival:
        partition = author % self.partitions
        made = arrival(partition, len(self.records[partition]), author, type, sid=sid, **object)
        self.records[partition].append(made)
        return made

    def follow(self, follower: int, followee: int, seq: int, *, on: bool = True) -> FollowChange:
        made = self.append(follower, EventType.FOLLOW if on else EventType.UNFOLLOW, id=followee, username="x", seq=seq)
        assert made.change
        return made.change

    def repeat(self, told: Arrival) -> Arrival:
        """The same event once more, behind what came since."""
        made = replace(told, offset=len(self.records[told.partition]))
        self.records[told.partition].append(made)
        return made


@dataclass
class ModelNode:
    """A ring and a hub that read the log, in whatever interleaving of its partitions `random` makes."""

    log: Log
    random: Random
    seconds: float = 1e9
    max_bytes: int = 10**9
    now: float = 0.0
    ring: Ring = field(init=False)
    hub: Hub = field(init=False)

    def __post_init__(self) -> None:
        self.ring = Ring(EPOCH, [0] * self.log.partitions, seconds=self.seconds, max_bytes=self.max_bytes)
        self.hub = Hub(self.ring)

    def read(self, most: int = 10**9) -> list[Entry]:
        """Reads up to `most` records that it has not read yet, and delivers them."""
        entries: list[Entry] = []
        while len(entries) < most:
            waiting = [p for p, records in enumerate(self.log.records) if len(records) > self.ring.next[p]]
            if not waiting:
                break
            partition = self.random.choice(waiting)
            entry = self.ring.append(self.log.records[partition][self.ring.next[partition]], self.now)
            if entry is not None:
                entries.append(entry)
        self.hub.deliver(entries)
        return entries
