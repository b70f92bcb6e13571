"""A node: its ring and hub, what it reads from, and whether it takes streams."""

import random
from dataclasses import dataclass, field

from store.archive import Archive
from store.feed import Feed
from store.sessions import Sessions
from stream.hub import Hub
from stream.ring import Ring
from stream.settings import StreamSettings


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

    async def has_ended(self, uid: int, sid: str, until: int) -> bool:
        """Whether the user's session is over. Raises ArchiveUnavailable if nobody can tell."""
        ended = await self.sessions.is_ended(uid, sid)
        if ended is None:
            ended = await self.archive.is_ended(uid, sid)
            await self.sessions.remember(sid, ended, until)
        return ended

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
