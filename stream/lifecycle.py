"""The rules of time of a stream, the same at both doors: what is due, and when to look again. Time is given, and nothing is sent.

Everything that can become due stands in one list, `_deadlines`. What is due next and when to look again are both read off it, so
neither can know a reason that the other has forgotten.
"""

import random
from enum import Enum, auto
from time import monotonic, time
from typing import NamedTuple

from stream.frames import Frame, frame
from stream.reasons import EndReason
from stream.replay import NO_REPEATS, here
from stream.ring import Ring
from stream.stream import Stream

# Seconds for a node to reach a cursor that is ahead of it: a node lags by milliseconds, and live events go on meanwhile.
AHEAD_AT_MOST = 10.0
# Seconds from a stream's end on for its client to take the last words: with half a second until somebody looks, within one.
LAST_WORDS = 0.4
# Seconds between the word that the token expires and its expiry: long enough for several tries to renew it.
_WARNED_BEFORE = 60.0


class Now(NamedTuple):
    """One moment on two clocks, in seconds: tokens expire by the wall clock, waiting is measured by the monotonic one."""

    wall: float
    monotonic: float

    @classmethod
    def read(cls) -> "Now":
        """This moment."""
        return cls(time(), monotonic())


class Step(Enum):
    """What can be due."""

    CUT = auto()  # end it without a word: its client does not take what comes before the last one
    END = auto()  # say bye
    RESYNC = auto()  # gap and snapshot: the node has not reached the client's cursor in time
    FORGET_REPEATS = auto()  # the node has not read in time what a snapshot showed: that may come once more
    WARNING = auto()
    HEARTBEAT = auto()


def next_step(stream: Stream, now: Now, slow_after: float, *, is_blocked: bool = False) -> Step | None:
    """What is due, the most urgent first; None if nothing is.

    `slow_after` is how long a client may take nothing. `is_blocked`: the connection that the stream shares with others takes
    nothing, which is not this client's fault.
    """
    for at, step in _deadlines(stream, now, slow_after, is_blocked=is_blocked):
        if at <= now.monotonic:
            return step
    return None


def look_at(stream: Stream, now: Now, slow_after: float) -> float:
    """When something is due next, whatever else happens (monotonic seconds; in the past if something is due now)."""
    return min([at for at, _ in _deadlines(stream, now, slow_after)])


def _deadlines(stream: Stream, now: Now, slow_after: float, *, is_blocked: bool = False) -> list[tuple[float, Step]]:
    """All that is going to be due if nothing happens, in monotonic seconds, the most urgent first."""
    end = _ends_at(stream, now)
    found = [(end, Step.END)]
    if (stream.writing_since is not None or stream.is_opening) and not is_blocked:
        found.insert(0, (end + LAST_WORDS, Step.CUT))
    if stream.writing_since is not None:
        found.insert(0, (stream.writing_since + slow_after, Step.CUT))
    if stream.is_opening or stream.ended_at is not None:
        return found
    if stream.ahead_since is not None and stream.place is None:
        step = Step.RESYNC if stream.past is not None else Step.FORGET_REPEATS
        found.append((stream.ahead_since + AHEAD_AT_MOST, step))
    if stream.warned_for != stream.expires_at:
        found.append((_monotonic(stream.expires_at - _WARNED_BEFORE, now), Step.WARNING))
    found.append((stream.beat_at, Step.HEARTBEAT))
    return found


def _ends_at(stream: Stream, now: Now) -> float:
    if stream.ended_at is not None:
        return stream.ended_at
    return _monotonic(min(stream.expires_at, stream.rotate_at), now)


def _monotonic(wall: float, now: Now) -> float:
    return now.monotonic + (wall - now.wall)


def due_end(stream: Stream, now: Now) -> EndReason | None:
    """Why the stream is over, by its `end` or by the time; None while it is not."""
    if stream.end is not None:
        return stream.end
    if now.wall >= stream.expires_at:
        return EndReason.EXPIRED
    return EndReason.ROTATE if now.wall >= stream.rotate_at else None


def end(stream: Stream, reason: EndReason, at: float) -> None:
    """Ends the stream, from `at` on (monotonic seconds), and wakes it; the first reason counts."""
    if stream.end is None:
        stream.end, stream.ended_at = reason, at
    stream.wake()


def expire(stream: Stream, now: Now) -> None:
    """Ends the stream if its token has expired or it is to come back, from the moment on at which that was due."""
    if stream.end is None and (reason := due_end(stream, now)) is not None:
        end(stream, reason, _ends_at(stream, now))


def has_lost_its_place(stream: Stream, ring: Ring) -> bool:
    """Whether the stream was so slow that the ring has dropped what it has not had; it is to end then (`slow`)."""
    return stream.place is not None and stream.place < ring.oldest


def reach_head(stream: Stream, ring: Ring, at: float) -> bool:
    """Notes that the stream has had everything that is here, at this moment (monotonic seconds).

    Returns whether its client is ahead of this node: it has seen more of the log elsewhere, or in a snapshot.
    """
    if stream.past is not None and all(map(int.__ge__, ring.next, stream.past)):
        stream.past = None
    is_ahead = stream.past is not None or bool(stream.repeats)
    if not is_ahead:
        stream.ahead_since = None
    elif stream.ahead_since is None:
        stream.ahead_since = at
    return is_ahead


def forget_repeats(stream: Stream) -> None:
    """Waits no longer for what a snapshot showed."""
    stream.repeats = NO_REPEATS


def rotation(now: Now, max_age: float) -> float:
    """When a stream that opens now (seconds since 1970) is asked to come back: not all of those that opened together at once."""
    return now.wall + max_age * random.uniform(0.75, 1.0)  # noqa: S311


def begin_beating(stream: Stream, now: Now, interval: float) -> None:
    """The first heartbeat is due within an interval: not those of all that opened together at once."""
    stream.beat_at = now.monotonic + interval * random.uniform(0.5, 1)  # noqa: S311


def warning(stream: Stream) -> Frame:
    """The word that the token runs out; the next one is due for the next token."""
    stream.warned_for = stream.expires_at
    return frame("expiring", {"expires_at": stream.expires_at})


def heartbeat(stream: Stream, ring: Ring, now: Now) -> Frame:
    """Says where a live stream is."""
    return beat(here(stream, ring), now)


def beat(at: str, now: Now) -> Frame:
    """The heartbeat of every stream that is at this cursor."""
    return frame("heartbeat", {"at": int(now.wall * 1000)}, at)
