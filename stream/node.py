"""A node: its ring and hub, what it reads from, and whether it takes streams."""

import random
import time
from dataclasses import dataclass, field

from store.archive import Archive
from store.briefs import Brief
from store.feed import Feed
from store.sessions import Sessions
from stream.hub import Hub
from stream.ring import Ring
from stream.settings import StreamSettings

_JUST_NOW = 3.0  # seconds; a quiet log answers every half second, and the tail looks at least once in one


@dataclass(slots=True)
class Node:
    """`ring` and `hub` are there from the moment on at which the tail knows the topic."""

    settings: StreamSettings
    feed: Feed
    archive: Archive
    sessions: Sessions
    ring: Ring | None = None
    hub: Hub | None = None
    missing: str = "the tail has not found Kafka yet"  # why the node is not ready; empty when it is
    draining: bool = False
    log_ends: list[int] = field(default_factory=list)  # as the last fetch from each partition told
    caught_up_at: float = 0  # when they had last told, all of them, that the ring has everything; seconds since 1970

    async def has_ended(self, uid: int, sid: str, until: int, brief: Brief | None = None) -> bool:
        """Whether the user's session is over; `brief` is what Redis has just said. Raises ArchiveUnavailable if nobody can tell.

        A session that was signed out is over from the moment on at which the API has answered, and no stream of it is opened:

        - the API has told Redis before it answered, and only Redis knows it before the log does: so Redis is always asked;
        - Redis may have lost that. What it says of a session that lives it says for 300 s, less than the ring reaches back: an end
          that it lost is in the ring, which is looked at first;
        - where Redis knows nothing (emptied, away, or not asked for 300 s) the log decides. This node knows it as well as the
          archive if it has read to its end just now, and the session was here lately. Else the archive is asked.
        """
        if self.hub is not None and self.hub.has_seen_end(uid, sid):
            return True
        ended = await self.sessions.is_ended(uid, sid) if brief is None else brief.ended
        if ended is None and self._is_caught_up() and self.hub is not None and self.hub.has_seen_no_end(uid, sid):
            return False
        if ended is None:
            ended = await self.archive.is_ended(uid, sid)
            if brief is None or brief.is_reachable:
                await self.sessions.remember(sid, ended, until)
        return ended

    def _is_caught_up(self) -> bool:
        """Whether every partition has just answered that there is nothing more in it."""
        return 0 <= time.time() - self.caught_up_at < _JUST_NOW

    def refusal(self, uid: int) -> str | None:
        """The reason why one more stream of this user is not taken here now."""
        if self.draining:
            return "drain"
        if self.missing or self.hub is None:
            return "unavailable"
        if (
            len(self.hub.of_user(uid)) >= self.settings.streams_per_user
            or len(self.hub) >= self.settings.streams_per_node
        ):
            return "too-many"
        return None


def retry_ms(reason: str = "") -> int:
    """How long a client is to wait before it comes back: jittered, so that many who left together don't return together."""
    low, high = {"drain": (100, 2000), "too-many": (10_000, 30_000)}.get(reason, (1000, 4000))
    return random.randint(low, high)  # noqa: S311
