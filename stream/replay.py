"""Replay: what a stream has still to get out of the ring, with ids that are exact at every frame."""

from collections.abc import Sequence

from store import cursor
from stream.frames import Frame
from stream.hub import Stream
from stream.ring import Entry, Ring

_NONE: frozenset[str] = frozenset()  # one for all streams: an empty one takes 200 bytes


def place_at(stream: Stream, ring: Ring, offsets: Sequence[int]) -> None:
    """Puts the stream where a client with these offsets left off. The ring must reach them."""
    stream.place = stream.began = ring.seq_from(offsets)
    stream.past = tuple(offsets)


def take(stream: Stream, ring: Ring, max_bytes: int) -> list[Frame]:
    """The stream's next frames, at most about `max_bytes` of them, in order; its place goes on behind them.

    With nothing left it is live: its place is None, and a later event sets it. Never a frame twice, never an id that goes back.
    """
    if stream.place is None:
        return []
    frames, size = [], 0
    for entry in ring.of_authors(set(stream.authors), stream.place):
        stream.place = entry.seq + 1
        arrival = entry.arrival
        if arrival.id in stream.repeats:
            continue
        had = _had(entry, stream)
        if arrival.actor == stream.uid and arrival.change is not None and arrival.change.on:
            frames += _overtaken(entry, arrival.change.followee, had, stream, ring)
        if had:
            continue
        frames.append(_frame(entry.frame, stream))
        size += len(arrival.value)
        if size >= max_bytes:
            return frames
    if stream.past is not None and all(map(int.__ge__, ring.next, stream.past)):
        stream.past = None  # the node has come as far as the one before it: from here on the shared frames are right
    stream.repeats = _NONE
    stream.place = None
    return frames


def here(stream: Stream, ring: Ring) -> str:
    """The cursor of a stream that is live."""
    return ring.cursor(stream.past)


def _had(entry: Entry, stream: Stream) -> bool:
    """Whether the client has had it on the node that it came from."""
    return stream.past is not None and entry.arrival.offset < stream.past[entry.arrival.partition]


def _overtaken(follow: Entry, followee: int, had: bool, stream: Stream, ring: Ring) -> list[Frame]:
    """What the followee did after the follow and this node saw before it: partitions have no order between them.

    These frames come before the follow's and have no id: a client that is cut between them gets them again, with the follow.
    If the client has `had` the follow, elsewhere, they are what it has not had, and the last one has the id of that place.
    """
    since = stream.joined.pop(followee, stream.began)
    missed = [
        Frame(entry.frame.event, entry.frame.data)
        for entry in ring.of_authors({followee}, ring.oldest)
        if entry.seq < follow.seq
        and (had or entry.arrival.id > follow.arrival.id)
        and (entry.seq < since if not _had(entry, stream) else not had)
        and entry.arrival.id not in stream.repeats
    ]
    if had and missed:
        missed[-1] = _frame(Frame(missed[-1].event, missed[-1].data, follow.frame.id), stream)
    return missed


def _frame(shared: Frame, stream: Stream) -> Frame:
    """The shared frame, unless the stream came from a node that had seen more of some partition."""
    if stream.past is None:
        return shared
    assert shared.id is not None
    at = cursor.decode(shared.id)
    if at.covers(stream.past):
        return shared
    return Frame(shared.event, shared.data, cursor.encode(at.epoch, map(max, at.offsets, stream.past)))
