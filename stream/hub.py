"""The hub: who is to be told of whose events on this node."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from store.events import EventType, FollowChange
from stream.follows import Follows
from stream.ring import Entry, Ring


class Group(Protocol):
    """Streams that go out together and are told together, without a look at each: those of one connection of the wire."""

    def join(self, stream: "Stream", author: int) -> None:
        """From now on `deliver` tells the stream of this author."""

    def leave(self, stream: "Stream", author: int) -> None:
        """From now on it does not."""

    def hold(self, stream: "Stream", entries: Sequence[Entry]) -> None:
        """Takes a live stream out of `deliver`: it is behind, from the first on that it has not been told of and that concerns it.

        `entries` are those that come with the next `deliver`.
        """

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Tells the live ones of the group of new entries."""


@dataclass(eq=False, slots=True)
class Stream:
    """One open stream: a place in the ring and a set of authors.

    `place` is the seq from which on entries may not have been delivered; None when it is live, which is to say at the head.
    `past`, while it is there, are the offsets of the cursor that the stream came with: what is below them has been delivered, even
    if it stands behind `place` on this node. `repeats` are the ids of events that a snapshot has shown already.
    `began` is the place it was put at; `joined` has the place from which on it is told of an author followed since.
    `door` names where it came from, for people: nothing depends on it. `writing_since` is set (monotonic seconds) while a batch is
    being written and not taken by the client. `group` is set if it is told in a group, and not by its place and `wake`.
    """

    uid: int
    sid: str
    expires_at: int
    wake: Callable[[], object]
    abort: Callable[[], object] = lambda: None
    place: int | None = 0
    past: tuple[int, ...] | None = None
    repeats: frozenset[str] = frozenset()
    began: int = 0
    joined: dict[int, int] = field(default_factory=dict)
    follows: Follows = field(default_factory=Follows)
    end: str | None = None
    writing_since: float | None = None
    warned_for: int = 0
    door: str = ""
    rotate_at: float = float("inf")
    group: Group | None = None

    @property
    def authors(self) -> Iterable[int]:
        """Whose events this stream is told of: those whom its user follows now, and the user."""
        return (self.uid, *self.follows)


class Hub:
    """The index from authors to streams. `deliver` costs what the event's readers cost, whoever else is here."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._by_author: defaultdict[int, set[Stream]] = defaultdict(set)
        self._by_user: dict[int, tuple[Stream, ...]] = {}  # most have one, for which a set is four times as large
        self._groups: dict[Group, int] = {}  # with the number of streams that each has here
        self._open = 0

    def __len__(self) -> int:
        return self._open

    def __iter__(self) -> Iterator[Stream]:
        return (stream for streams in list(self._by_user.values()) for stream in streams)

    def of_user(self, uid: int) -> list[Stream]:
        """The user's streams that are open here."""
        return list(self._by_user.get(uid, ()))

    def add(self, stream: Stream) -> None:
        """Makes the stream known; it is told of nobody yet. From now on it sees every change of what its user follows."""
        self._by_user[stream.uid] = (*self._by_user.get(stream.uid, ()), stream)
        self._open += 1
        if stream.group is not None:
            self._groups[stream.group] = self._groups.get(stream.group, 0) + 1

    def subscribe(self, stream: Stream, follows: Mapping[int, int]) -> None:
        """Tells the stream of these followees (each with the follow's seq) and of the user, and of newer changes in the ring."""
        stream.follows = Follows(follows)
        for entry in self._ring.of_authors({stream.uid}, self._ring.oldest):
            if entry.arrival.change:
                _apply(stream.follows, entry.arrival.change)
        for author in stream.authors:
            self._join(stream, author)

    def remove(self, stream: Stream) -> None:
        """Forgets the stream, which was added."""
        for author in stream.authors:
            self._leave(stream, author)
        others = tuple(other for other in self._by_user.pop(stream.uid) if other is not stream)
        if others:
            self._by_user[stream.uid] = others
        self._open -= 1
        if stream.group is not None:
            self._groups[stream.group] -= 1
            if not self._groups[stream.group]:
                del self._groups[stream.group]

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Tells of new entries, in the ring's order: live streams get their place, behind ones come to it by themselves."""
        for entry in entries:
            arrival = entry.arrival
            if arrival.change:
                self._change(arrival.change, entry.seq, entries)
            for stream in self._by_author.get(arrival.actor, ()):
                if stream.place is None:
                    stream.place = entry.seq
                    stream.wake()
            if arrival.type is EventType.LOGOUT and arrival.sid:
                self.end_sessions(arrival.actor, arrival.sid)
            elif arrival.type is EventType.ACCOUNT_DELETED:
                self.end_sessions(arrival.actor)
        for group in list(self._groups):
            group.deliver(entries)

    def end_sessions(self, uid: int, sid: str | None = None) -> None:
        """Ends the streams of the user's session, or of all of them, each after what is to be delivered before."""
        for stream in self._by_user.get(uid, ()):
            if sid in (None, stream.sid):
                self.end(stream, "signed-out")

    def renew(self, uid: int, sid: str, expires_at: int) -> int:
        """Prolongs the session's streams to a newer token's expiry. Returns how many there are."""
        streams = [stream for stream in self._by_user.get(uid, ()) if stream.sid == sid]
        for stream in streams:
            stream.expires_at = max(stream.expires_at, expires_at)
            stream.wake()
        return len(streams)

    def end_stuck(self, before: float) -> None:
        """Ends every stream whose client has not taken a batch since `before` (monotonic seconds)."""
        for stream in self:
            if stream.writing_since is not None and stream.writing_since < before:
                self.end(stream, "slow")
                stream.abort()

    def end(self, stream: Stream, reason: str) -> None:
        """Ends the stream; the first reason counts."""
        stream.end = stream.end or reason
        stream.wake()

    def _change(self, change: FollowChange, seq: int, entries: Sequence[Entry]) -> None:
        for stream in self._by_user.get(change.follower, ()):
            if stream.group is not None:
                # Groups deliver whole batches. This one is not the same for all of the group.
                stream.group.hold(stream, entries)
            had = change.followee in stream.follows
            _apply(stream.follows, change)
            has = change.followee in stream.follows
            if has and not had:
                self._join(stream, change.followee)
                stream.joined[change.followee] = seq if stream.place is None else stream.place
            elif had and not has and change.followee != stream.uid:
                self._leave(stream, change.followee)

    def _join(self, stream: Stream, author: int) -> None:
        if stream.group is not None:
            stream.group.join(stream, author)
        else:
            self._by_author[author].add(stream)

    def _leave(self, stream: Stream, author: int) -> None:
        if stream.group is not None:
            stream.group.leave(stream, author)
        else:
            _discard(self._by_author, author, stream)


def _apply(follows: Follows, change: FollowChange) -> None:
    """The change, unless a newer one of the pair is known."""
    if change.seq >= follows.get(change.followee, 0):
        if change.on:
            follows[change.followee] = change.seq
        else:
            follows.pop(change.followee, None)


def _discard(index: defaultdict[int, set[Stream]], key: int, stream: Stream) -> None:
    streams = index.get(key)
    if streams is not None:
        streams.discard(stream)
        if not streams:
            del index[key]
