"""The hub: who is to be told of whose events on this node."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from store.events import EventType, FollowChange
from store.follows import Follows
from stream import lifecycle
from stream.changes import newest_changes
from stream.heard_ends import HeardEnds
from stream.reasons import EndReason
from stream.remembered import Remembered
from stream.ring import Entry, Ring
from stream.stream import Group, Stream


class Hub:
    """The index from authors to streams. `deliver` costs what the event's readers cost, whoever else is here."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._by_author: defaultdict[int, set[Stream]] = defaultdict(set)
        self._by_user: dict[int, tuple[Stream, ...]] = {}  # most have one, for which a set is four times as large
        self._groups: dict[Group, int] = {}  # with the number of streams that each has here
        self._ungrouped: set[Stream] = set()
        self._open = 0
        self._remembered = Remembered(ring.seconds)
        self._heard_ends = HeardEnds()
        self._in_doubt: set[Stream] = (
            set()
        )  # signed out, or open since before a gap in the log: nothing of them is remembered

    def __len__(self) -> int:
        return self._open

    def __iter__(self) -> Iterator[Stream]:
        return (stream for streams in list(self._by_user.values()) for stream in streams)

    def of_user(self, uid: int) -> list[Stream]:
        """The user's streams that are open here."""
        return list(self._by_user.get(uid, ()))

    def ungrouped(self) -> list[Stream]:
        """The streams that are told one by one: those of the plain door."""
        return list(self._ungrouped)

    def add(self, stream: Stream) -> None:
        """Makes the stream known; it is told of nobody yet. From now on it sees every change of what its user follows."""
        self._by_user[stream.uid] = (*self._by_user.get(stream.uid, ()), stream)
        self._open += 1
        if stream.group is None:
            self._ungrouped.add(stream)
        else:
            self._groups[stream.group] = self._groups.get(stream.group, 0) + 1

    def subscribe(self, stream: Stream, follows: Follows, known: Sequence[int] | None = None) -> None:
        """Tells the stream of these followees (each with the follow's seq) and of the user, and of newer changes in the ring.

        `known` are the offsets of the log up to which the follows have every change; the ring has to reach them. The follows are
        the stream's from now on.
        """
        stream.follows = follows
        for entry in newest_changes(self._ring, stream.uid):
            if entry.arrival.change and (known is None or entry.arrival.offset >= known[entry.arrival.partition]):
                follows.apply(entry.arrival.change)
        self._join(stream, stream.authors)

    def knows(self, uid: int) -> bool:
        """Whether `known_follows` has an answer."""
        return self._remembered.knows(uid) or self._other(uid) is not None

    def known_follows(self, uid: int) -> Follows | None:
        """Whom the user follows, exactly, as far as this node has read the log; None for somebody who was not here lately."""
        if other := self._other(uid):
            return other.follows.copy()
        left = self._remembered.take(uid)
        return left.follows if left else None

    def has_seen_end(self, uid: int, sid: str | None) -> bool:
        """Whether the end of the user's session, or of the account, is in the ring or was told beside the log."""
        return (uid, sid) in self._heard_ends or any(
            entry.arrival.type is EventType.ACCOUNT_DELETED
            or (entry.arrival.type is EventType.LOGOUT and sid is not None and entry.arrival.sid == sid)
            for entry in self._ring.of_author(uid)
        )

    def has_seen_no_end(self, uid: int, sid: str) -> bool:
        """Whether the session was alive when it was here lately, or is here, and has not ended as far as this node has read."""
        return self._remembered.is_alive(uid, sid) or any(
            stream.sid == sid and stream.is_subscribed and stream not in self._in_doubt
            for stream in self._by_user.get(uid, ())
        )

    def lose_log(self) -> None:
        """Records were deleted before this node read them: what it knows of people may be wrong. All have to come back."""
        self._remembered.forget_all()
        self._in_doubt.update(self)
        for stream in self:
            self.end(stream, EndReason.ROTATE)

    def remove(self, stream: Stream) -> None:
        """Forgets the stream, which was added."""
        self._leave(stream, stream.authors)
        if stream.is_subscribed and stream not in self._in_doubt:
            self._remembered.keep(stream.uid, stream.sid, stream.follows)
        self._in_doubt.discard(stream)
        others = tuple(other for other in self._by_user.pop(stream.uid) if other is not stream)
        if others:
            self._by_user[stream.uid] = others
        self._open -= 1
        if stream.group is None:
            self._ungrouped.discard(stream)
        else:
            self._groups[stream.group] -= 1
            if not self._groups[stream.group]:
                del self._groups[stream.group]

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Tells of new entries, in the ring's order: live streams get their place, behind ones come to it by themselves."""
        for entry in entries:
            arrival = entry.arrival
            if arrival.change and not (arrival.change.on and entry.is_superseded):
                self._remembered.change(arrival.change)
                self._change(arrival.change, entry.seq, entries)
            for stream in self._by_author.get(arrival.actor, ()):
                if stream.place is None:
                    stream.place = entry.seq
                    stream.wake()
            if arrival.type is EventType.ACCOUNT_DELETED or (arrival.type is EventType.LOGOUT and arrival.sid):
                sid = arrival.sid if arrival.type is EventType.LOGOUT else None
                self._heard_ends.forget(arrival.actor, sid)
                self.end_sessions(arrival.actor, sid)
        for group in list(self._groups):
            group.deliver(entries)

    def hear_end(self, uid: int, sid: str | None = None) -> None:
        """As `end_sessions`, for an end that was told beside the log. Nobody is let in with it until the log tells it too."""
        if not self.has_seen_end(uid, sid):
            self._heard_ends.note(uid, sid)
        self.end_sessions(uid, sid)

    def end_sessions(self, uid: int, sid: str | None = None) -> None:
        """Ends the streams of the user's session, or of all of them, each after what is to be delivered before."""
        self._remembered.end_sessions(uid, sid)
        for stream in self._by_user.get(uid, ()):
            if sid in (None, stream.sid):
                self._in_doubt.add(stream)
                self.end(stream, EndReason.SIGNED_OUT)

    def renew(self, uid: int, sid: str, expires_at: int) -> int:
        """Prolongs the session's streams to a newer token's expiry. Returns how many there are."""
        streams = [stream for stream in self._by_user.get(uid, ()) if stream.sid == sid]
        for stream in streams:
            stream.expires_at = max(stream.expires_at, expires_at)
            stream.wake()
        return len(streams)

    def end(self, stream: Stream, reason: EndReason) -> None:
        """Ends the stream; the first reason counts."""
        lifecycle.end(stream, reason, time.monotonic())

    def _change(self, change: FollowChange, seq: int, entries: Sequence[Entry]) -> None:
        for stream in self._by_user.get(change.follower, ()):
            if not stream.is_subscribed:
                continue  # it finds the change in the ring
            if stream.group is not None:
                # Groups deliver whole batches. This one is not the same for all of the group.
                stream.group.hold(stream, entries)
            had = change.followee in stream.follows
            stream.follows.apply(change)
            has = change.followee in stream.follows
            if has and not had:
                self._join(stream, (change.followee,))
                stream.joined[change.followee] = seq if stream.place is None else stream.place
            elif had and not has and change.followee != stream.uid:
                self._leave(stream, (change.followee,))

    def _other(self, uid: int) -> Stream | None:
        """An open stream of the user's that knows exactly whom the user follows."""
        streams = self._by_user.get(uid, ())
        return next((stream for stream in streams if stream.is_subscribed and stream not in self._in_doubt), None)

    def _join(self, stream: Stream, authors: Iterable[int]) -> None:
        if stream.group is not None:
            stream.group.join(stream, authors)
        else:
            for author in authors:
                self._by_author[author].add(stream)

    def _leave(self, stream: Stream, authors: Iterable[int]) -> None:
        if stream.group is not None:
            stream.group.leave(stream, authors)
        else:
            for author in authors:
                _discard(self._by_author, author, stream)


def _discard(index: defaultdict[int, set[Stream]], key: int, stream: Stream) -> None:
    streams = index.get(key)
    if streams is not None:
        streams.discard(stream)
        if not streams:
            del index[key]
