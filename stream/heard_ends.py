"""The ends of sessions that a node was told of beside the log, until it reads them there."""

from collections.abc import Callable
from time import monotonic

_KEPT = 24 * 3600.0  # seconds, as the longest life of an access token: nobody comes with one of the session's any more
# In all of a day in which Kafka is away; about 15 MB. The oldest go first: Redis has their marks, and the API repeats them there.
_AT_MOST = 50_000


class HeardEnds:
    """By user and session; None stands for all of the user's sessions. What is noted once more counts from its first time."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._until: dict[tuple[int, str | None], float] = {}  # in the order of their times

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, session: tuple[int, str | None]) -> bool:
        """Whether the session has ended, by itself or with all of the user's."""
        uid, _ = session
        return any(self._until.get(key, 0) > self._now() for key in (session, (uid, None)))

    def note(self, uid: int, sid: str | None) -> None:
        """Keeps it for a day, and at most 50,000 of them."""
        now = self._now()
        self._until.setdefault((uid, sid), now + _KEPT)
        while self._until:
            oldest, until = next(iter(self._until.items()))
            if until > now and len(self._until) <= _AT_MOST:
                break
            del self._until[oldest]

    def forget(self, uid: int, sid: str | None) -> None:
        """The node has read it in the log, and knows it from there."""
        self._until.pop((uid, sid), None)
