"""What a node remembers of those who were here lately, so that they are let in again without asking anybody."""

import time
from dataclasses import dataclass

from store.events import FollowChange
from store.follows import Follows

_AT_MOST_BYTES = 32 * 2**20  # some 25,000 people who follow 200 each; the one who left first goes first
_ENTRY_BYTES = 400  # beside the numbers, about
_SESSIONS = 4  # of one user, the latest


@dataclass(slots=True)
class _Left:
    follows: Follows
    sessions: tuple[str, ...]
    at: float


class Remembered:
    """Whom people followed when they left, kept exact since by every change in the log, and their sessions that had not ended.

    It is as true as an open stream, because the same changes keep it: what a stream knew that was told of every one, and every one
    since. So `forget_all` is called when the tail has a gap, and who was open before it is not kept at all. It knows no more of the
    log than this node: it is for those whose cursor is not ahead of it. After a restart there is nothing.
    """

    def __init__(self, seconds: float) -> None:
        """Kept for so long after they left."""
        self._seconds = seconds
        self._by_user: dict[int, _Left] = {}  # in the order in which they left
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_user)

    def keep(self, uid: int, sid: str, follows: Follows) -> None:
        """A stream of the user's is over, its session as far as this node knows is not."""
        before = self.take(uid)
        sessions = tuple(known for known in before.sessions if known != sid) if before else ()
        self._by_user[uid] = _Left(follows, (*sessions, sid)[-_SESSIONS:], time.monotonic())
        self._bytes += _ENTRY_BYTES + follows.bytes
        self._drop_old()

    def take(self, uid: int) -> _Left | None:
        """What is known of the user, who is here again: from now on a stream keeps it."""
        left = self._by_user.pop(uid, None)
        if left is not None:
            self._bytes -= _ENTRY_BYTES + left.follows.bytes
        return left

    def knows(self, uid: int) -> bool:
        """Whether it knows whom the user follows."""
        self._drop_old()
        return uid in self._by_user

    def is_alive(self, uid: int, sid: str) -> bool:
        """Whether the session had not ended when its stream did, nor since, as far as this node has read the log."""
        left = self._by_user.get(uid)
        return left is not None and sid in left.sessions

    def change(self, change: FollowChange) -> None:
        """Somebody, here or not, has changed whom they follow."""
        left = self._by_user.get(change.follower)
        if left is not None:
            self._bytes -= left.follows.bytes
            left.follows.apply(change)
            self._bytes += left.follows.bytes

    def end_sessions(self, uid: int, sid: str | None) -> None:
        """The user's session, or all of them, have ended."""
        left = self._by_user.get(uid)
        if left is not None:
            left.sessions = tuple(known for known in left.sessions if sid not in (None, known))

    def forget_all(self) -> None:
        """The log has a gap."""
        self._by_user.clear()
        self._bytes = 0

    def _drop_old(self) -> None:
        since = time.monotonic() - self._seconds
        while self._by_user:
            uid, left = next(iter(self._by_user.items()))
            if left.at > since and self._bytes <= _AT_MOST_BYTES:
                break
            self.take(uid)
