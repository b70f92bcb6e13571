"""The ring: the recent events of a node, in the order in which this node saw them, already encoded.

An entry's `seq` is its place on this node; a cursor's offsets are its place in the log. The ring stands at `next`: for each
partition the offset it has not seen yet. It is complete from `floor` on: what is below has been dropped, or was never read.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import cast

from store import cursor
from store.events import Arrival, EventType, FollowChange, NotAnEvent, decode
from stream.frames import Frame, Tally

# Below this many entries a look at each is cheaper than a search in the index of every author.
_SCAN_AT_MOST = 64
# What an entry takes beside its value and the forms that it was encoded to: the objects, two ids, its places in four indices.
_ENTRY_BYTES = 850
_GONE = cast("Entry", None)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in the ring. Its frame carries the cursor of a stream that has had everything up to here on this node."""

    seq: int
    arrival: Arrival
    frame: Frame
    seen: float
    # Whether the ring had, before this change of whom somebody follows, a newer one of the pair, or this one already. Nobody keeps
    # the `seq` of pairs that are off: the ring has it for as long as it reaches back. A follow that comes behind its unfollow,
    # because it was told twice or driven again from the dead letters, is not done again.
    is_superseded: bool = False


class Ring:
    """Bounded by age and by the bytes that it keeps; the oldest entries go first."""

    def __init__(self, epoch: str, floor: Sequence[int], *, seconds: float, max_bytes: int, since: str = "") -> None:
        """It begins at `floor`; `since` is an event id that is greater than those of what stands before that."""
        self.epoch = epoch
        self.floor, self.next = list(floor), list(floor)
        self.seconds, self._max_bytes, self._bytes = seconds, max_bytes, 0
        self._encoded = Tally()
        self._ids: set[str] = set()  # of the entries
        self._dropped = since  # the greatest id of what has been dropped
        self._newest_change: dict[
            tuple[int, int], tuple[int, int]
        ] = {}  # by pair: the highest `seq`, and the entry that has it
        self._entries: list[Entry] = []  # of seq _first, _first + 1, ...; dropped ones are cut off in large pieces
        self._first = self._oldest = 0
        self._by_author: defaultdict[int, list[int]] = defaultdict(list)
        self._by_partition: list[list[int]] = [[] for _ in floor]

    def __len__(self) -> int:
        return self.head - self._oldest

    @property
    def head(self) -> int:
        """The seq that the next entry will have: the place of a stream that has had everything."""
        return self._first + len(self._entries)

    @property
    def oldest(self) -> int:
        """The seq of the oldest entry that is still here (or of the head)."""
        return self._oldest

    @property
    def bytes(self) -> int:
        """What all entries take: values, what they were encoded to, and what is kept beside."""
        return self._bytes + self._encoded.bytes

    def append(self, arrival: Arrival, now: float) -> Entry | None:
        """Adds an event, or returns None for one that was seen already: a reader that began again a little earlier, or a record
        that stands twice in the log while the first is here, or, of a post, its deletion is."""
        if arrival.offset < self.next[arrival.partition]:
            return None
        self.pass_over(arrival.partition, arrival.offset)
        if self._stands_twice(arrival):
            return None
        frame = Frame(str(arrival.type), arrival.value, self.cursor(), tally=self._encoded)
        entry = Entry(self.head, arrival, frame, now, self._note_change(arrival.change))
        self._entries.append(entry)
        self._by_author[arrival.actor].append(entry.seq)
        self._by_partition[arrival.partition].append(entry.seq)
        self._ids.add(arrival.id)
        self._bytes += len(arrival.value) + _ENTRY_BYTES
        self._drop_old(now)
        return entry

    def pass_over(self, partition: int, offset: int) -> None:
        """Goes on behind a record that nobody receives."""
        self.next[partition] = max(self.next[partition], offset + 1)

    def lose(self, partition: int, offset: int) -> None:
        """Goes on at a later offset of the partition: what lies between was deleted before it was read here."""
        self.floor[partition] = self.next[partition] = max(offset, self.next[partition])

    def cursor(self, at_least: Sequence[int] | None = None) -> str:
        """The cursor of a stream that has had everything; `at_least` keeps one that came from a node further on from going back."""
        return cursor.encode(self.epoch, self.next if at_least is None else map(max, self.next, at_least))

    def reaches(self, offsets: Sequence[int]) -> bool:
        """Whether everything from these offsets on, that this node has seen, is still here."""
        return all(map(int.__ge__, offsets, self.floor))

    def has_passed(self, event_id: str) -> bool:
        """Whether this node has read the event, or it stands before the ring: ids grow with time, to within the ring's length."""
        return event_id in self._ids or event_id <= self._dropped

    def seq_from(self, offsets: Sequence[int]) -> int:
        """The place behind which every entry at or above these offsets stands. Entries below them may stand there too."""
        first = self.head
        for partition, offset in enumerate(offsets):
            if offset < self.next[partition]:
                seqs = self._by_partition[partition]
                at = bisect_left(seqs, offset, key=lambda seq: self[seq].arrival.offset)
                if at < len(seqs):
                    first = min(first, seqs[at])
        return first

    def of_authors(self, authors: Collection[int], start: int) -> Iterator[Entry]:
        """The authors' entries from the place `start` on, in order."""
        start = max(start, self._oldest)
        if self.head - start <= max(_SCAN_AT_MOST, len(authors)):
            return (entry for entry in self._entries[start - self._first :] if entry.arrival.actor in authors)
        lists = (self._by_author.get(author, ()) for author in authors)
        tails = [seqs[bisect_left(seqs, start) :] for seqs in lists if seqs and seqs[-1] >= start]
        return (self[seq] for seq in merge(*tails))

    def of_author(self, author: int) -> Iterator[Entry]:
        """All of the author's entries that are here, in order."""
        return (self[seq] for seq in self._by_author.get(author, ()))

    def __getitem__(self, seq: int) -> Entry:
        return self._entries[seq - self._first]

    def expire(self, now: float) -> None:
        """Drops what is too old; `append` does so too, this is for quiet times."""
        self._drop_old(now)

    def _stands_twice(self, arrival: Arrival) -> bool:
        if arrival.id in self._ids:
            return True
        seqs = self._by_author.get(arrival.actor)
        # The ids of an author's events ascend: behind what is newer than the newest there is no deletion of it.
        if arrival.type is not EventType.POST or not seqs or arrival.id > self[seqs[-1]].arrival.id:
            return False
        post = _post(arrival)
        return post is not None and any(
            one.arrival.type is EventType.POST_DELETED and _post(one.arrival) == post
            for one in self.of_author(arrival.actor)
        )

    def _note_change(self, change: FollowChange | None) -> bool:
        """Whether the pair's newest change is here already."""
        if change is None:
            return False
        pair = change.follower, change.followee
        newest, _ = self._newest_change.get(pair, (0, 0))
        self._newest_change[pair] = max(newest, change.seq), self.head
        return newest >= change.seq

    def _drop_old(self, now: float) -> None:
        while self._oldest < self.head:
            entry = self[self._oldest]
            if entry.seen > now - self.seconds and self.bytes <= self._max_bytes:
                break
            at = entry.arrival
            self.floor[at.partition] = at.offset + 1
            self._by_partition[at.partition].pop(0)
            seqs = self._by_author[at.actor]
            seqs.pop(0)
            if not seqs:
                del self._by_author[at.actor]
            self._ids.discard(at.id)
            if at.change is not None:
                pair = at.change.follower, at.change.followee
                if self._newest_change[pair][1] == entry.seq:  # the last one of the pair that is here
                    del self._newest_change[pair]
            self._dropped = max(self._dropped, at.id)
            self._bytes -= len(at.value) + _ENTRY_BYTES
            entry.frame.leave_tally()  # a batch on its way may still encode it
            self._entries[self._oldest - self._first] = _GONE  # with its frames, now and not when the piece is cut off
            self._oldest += 1
        if self._oldest - self._first > 1024 and self._oldest - self._first > len(self._entries) // 2:
            del self._entries[: self._oldest - self._first]
            self._first = self._oldest


def _post(arrival: Arrival) -> object:
    """The number of the post; None if the value is not an event's JSON, which nobody has looked at."""
    try:
        return decode(arrival.value)["object"].get("id")  # type: ignore[attr-defined]
    except NotAnEvent:
        return None
