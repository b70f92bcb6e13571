"""What a stream is told beside events, by whichever door: that it beats, that its token runs out, that it ends."""

import random
import time

from stream.frames import Frame, bye, frame
from stream.meters import Meters
from stream.node import retry_ms
from stream.replay import here
from stream.ring import Ring
from stream.stream import Stream

AHEAD_AT_MOST = 10.0  # seconds for a node to reach a cursor that is ahead of it; a node lags by milliseconds
_WARNED_BEFORE = 60.0  # seconds between the word that the token expires and its expiry


def rotation(max_age: float) -> float:
    """When a stream that opens now (seconds since 1970) is asked to come back: not all of those that opened together at once."""
    return time.time() + max_age * random.uniform(0.75, 1.0)  # noqa: S311


def is_over(stream: Stream) -> bool:
    """Whether the stream is to end, by its `end`, which says why from then on."""
    now = time.time()
    if stream.end is None and now >= stream.expires_at:
        stream.end = "expired"
    if stream.end is None and now >= stream.rotate_at:
        stream.end = "rotate"
    return stream.end is not None


def has_lost_its_place(stream: Stream, ring: Ring) -> bool:
    """Whether the stream was so slow that the ring has dropped what it has not had; it is to end then."""
    if stream.place is None or stream.place >= ring.oldest:
        return False
    stream.end = stream.end or "slow"
    return True


def is_ahead(stream: Stream, ring: Ring) -> bool:
    """Whether the client has still seen more of the log than this node; asked when it has had everything that is here."""
    if stream.past is not None and stream.place is None and all(map(int.__ge__, ring.next, stream.past)):
        stream.past = None
    return stream.past is not None


def heartbeat(stream: Stream, ring: Ring) -> Frame:
    """Says where a live stream is."""
    return beat(here(stream, ring))


def beat(at: str) -> Frame:
    """The heartbeat of every stream that is there."""
    return frame("heartbeat", {"at": int(time.time() * 1000)}, at)


def warning(stream: Stream) -> Frame | None:
    """The word that the token runs out, once for each token, when it is time."""
    if stream.warned_for == stream.expires_at or time.time() < stream.expires_at - _WARNED_BEFORE:
        return None
    stream.warned_for = stream.expires_at
    return frame("expiring", {"expires_at": stream.expires_at})


def seconds_to_word(stream: Stream) -> float:
    """How long until a warning or the end may be due, whatever else happens."""
    now = time.time()
    left = min(stream.expires_at, stream.rotate_at) - now
    warned = stream.expires_at - _WARNED_BEFORE - now
    return min(left, warned) if warned > 0 else left


def ended(reason: str, meters: Meters) -> Frame:
    """The last frame of a stream."""
    meters.ended.labels(reason).inc()
    return bye(reason, retry_ms(reason))
