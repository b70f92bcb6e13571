"""Replay: what a stream has still to get out of the ring, with ids that are exact at every frame."""

from collections.abc import Sequence

from store import cursor
from stream.frames import Frame
from stream.ring import Entry, Ring
from stream.stream import Stream

_TOLD = -1  # in `joined`: nothing is left that the follow would have to bring
NO_REPEATS: frozenset[str] = frozenset()  # one for all streams: an empty one takes 200 bytes


def place_at(stream: Stream, ring: Ring, offsets: Sequence[int]) -> None:
    """Puts the stream where a client with these offsets left off. The ring must reach them."""
    stream.place = stream.began = ring.seq_from(offsets)
    # However far ahead of this node the client is, the node has its time to reach it, again at each new place.
    stream.past, stream.ahead_since = tuple(offsets), None


def take(stream: Stream, ring: Ring, max_bytes: int) -> list[Frame]:
    """The stream's next frames, at most `max_bytes` of them or one, in order; its place goes on behind them.

    With nothing left it is live: its place is None, and a later event sets it. Never a frame twice, never an id that goes back.
    What a snapshot showed and this node has still to read stays in `repeats`: such a stream must not be told in a group yet.
    """
    if stream.place is None:
        return []
    frames: list[Frame] = []
    size = 0
    ahead = _follows_ahead(stream, ring)
    for entry in ring.of_authors(set(stream.authors), stream.place):
        arrival = entry.arrival
        if frames and size + entry.frame.size > max_bytes:
            stream.place = entry.seq
            return frames
        stream.place = entry.seq + 1
        if arrival.id in stream.repeats:
            continue
        had = _had(entry, stream)
        made: list[Frame] = []
        if arrival.actor == stream.uid and _is_follow(entry):
            assert arrival.change is not None
            made += _overtaken(entry, arrival.change.followee, had, stream, ring)
        if not had:
            # Followed now, and about to be sent in its turn: what the follow brings is older and has to come before it.
            if (follow := ahead.pop(arrival.actor, None)) is not None and entry.seq < follow.seq:
                made += _overtaken(follow, arrival.actor, _had(follow, stream), stream, ring, early=True)
                stream.joined[arrival.actor] = _TOLD
            made.append(_frame(entry.frame, stream))
        frames += made
        size += sum([frame.size for frame in made])
    if stream.past is not None and all(map(int.__ge__, ring.next, stream.past)):
        stream.past = None  # the node has come as far as the one before it: from here on the shared frames are right
    if stream.repeats:
        stream.repeats = frozenset(id for id in stream.repeats if not ring.has_passed(id)) or NO_REPEATS
    stream.place = None
    return frames


def here(stream: Stream, ring: Ring) -> str:
    """The cursor of a stream that is live."""
    return ring.cursor(stream.past)


def _had(entry: Entry, stream: Stream) -> bool:
    """Whether the client has had it on the node that it came from."""
    return stream.past is not None and entry.arrival.offset < stream.past[entry.arrival.partition]


def _follows_ahead(stream: Stream, ring: Ring) -> dict[int, Entry]:
    """The followees whom the stream will come to follow on its way to the head, each with the first such follow."""
    assert stream.place is not None
    entries = [entry for entry in ring.of_authors({stream.uid}, stream.place) if _is_follow(entry)]
    follows = [(entry.arrival.change.followee, entry) for entry in entries if entry.arrival.change is not None]
    return {followee: follow for followee, follow in reversed(follows) if stream.joined.get(followee) != _TOLD}


def _is_follow(entry: Entry) -> bool:
    """Whether it makes its author follow somebody, and not once more."""
    return entry.arrival.change is not None and entry.arrival.change.on and not entry.is_superseded


def _overtaken(
    follow: Entry, followee: int, had: bool, stream: Stream, ring: Ring, *, early: bool = False
) -> list[Frame]:
    """What the followee did after the follow and was seen before it, here or where the client came from.

    Partitions have no order between them. These frames come before the follow's, or `early` before the first of the followee's
    that has its turn before the follow, and have no id: a client that is cut between them gets them again, with the follow.
    If the client has `had` the follow, elsewhere, they are what it has not had, and the last one has the id of that place.
    All of them go at once, whatever they take: without ids there is no place between them to come back to. It is no more than what
    one author may do (LIMIT_WRITES) in the time by which this node reads one partition later than another.
    """
    since = stream.joined.pop(followee, stream.began)
    missed = [
        Frame(entry.frame.event, entry.frame.data)
        for entry in ring.of_authors({followee}, ring.oldest)
        if (had or entry.arrival.id > follow.arrival.id)
        and (entry.seq < min(since, follow.seq) if not _had(entry, stream) else not had)
        and entry.arrival.id not in stream.repeats
    ]
    if had and missed and not early:
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
