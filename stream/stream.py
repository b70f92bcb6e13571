"""A stream: a place in the ring and a set of authors, whichever door it came through."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from store.follows import Follows
from stream.reasons import EndReason
from stream.ring import Entry


class Group(Protocol):
    """Streams that go out together and are told together, without a look at each: those of one connection of the wire."""

    def join(self, stream: "Stream", authors: Iterable[int]) -> None:
        """From now on `deliver` tells the stream of these authors."""

    def leave(self, stream: "Stream", authors: Iterable[int]) -> None:
        """From now on it does not."""

    def hold(self, stream: "Stream", entries: Sequence[Entry]) -> None:
        """Takes a live stream out of `deliver`: it is behind, from the first on that it has not been told of and that concerns it.

        `entries` are those that come with the next `deliver`.
        """

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Tells the live ones of the group of new entries."""


NOBODY = Follows()  # of all streams that don't know yet whom their user follows


def _nothing() -> None:
    pass


@dataclass(eq=False, slots=True)
class Stream:
    """One open stream: a place in the ring and a set of authors.

    `place` is the seq from which on entries may not have been delivered; None when it is live, which is to say at the head.
    `past`, while it is there, are the offsets of the cursor that the stream came with: what is below them has been delivered, even
    if it stands behind `place` on this node. `repeats` are the ids of events that a snapshot has shown already.
    `began` is the place it was put at; `joined` has the place from which on it is told of an author followed since.
    `door` names where it came from, for people: nothing depends on it. `writing_since` is set (monotonic seconds) while a batch is
    being written and not taken by the client. `group` is set if it is told in a group, and not by its place and `wake`.
    `end` says why it is over, `ended_at` since when (monotonic seconds). `is_opening` while it waits for what it begins with.
    `ahead_since`: since when it has had everything that is here while its client had seen more elsewhere (monotonic seconds).
    `beat_at`: when its next heartbeat is due (monotonic seconds).
    """

    uid: int
    sid: str
    expires_at: int
    waker: Callable[[], object] = _nothing
    aborter: Callable[[], object] = _nothing
    place: int | None = 0
    past: tuple[int, ...] | None = None
    repeats: frozenset[str] = frozenset()
    began: int = 0
    joined: dict[int, int] = field(default_factory=dict)
    follows: Follows = field(default_factory=lambda: NOBODY)
    end: EndReason | None = None
    ended_at: float | None = None
    is_opening: bool = False
    ahead_since: float | None = None
    beat_at: float = float("inf")
    writing_since: float | None = None
    warned_for: int = 0
    door: str = ""
    rotate_at: float = float("inf")
    group: Group | None = None

    def wake(self) -> None:
        """Something has happened that concerns it."""
        self.waker()

    def abort(self) -> None:
        """Cuts it off, from outside its own writes, which may never return."""
        self.aborter()

    @property
    def authors(self) -> Iterable[int]:
        """Whose events this stream is told of: those whom its user follows now, and the user."""
        return (self.uid, *self.follows)

    @property
    def is_subscribed(self) -> bool:
        """Whether it knows whom its user follows."""
        return self.follows is not NOBODY
