"""A node: its ring and hub, what it reads from, and whether it takes streams."""

import time
from dataclasses import dataclass, field

from store.archive import Archive, ArchiveUnavailable
from store.as_of import Behind
from store.briefs import Brief
from store.feed import Feed
from store.sessions import Sessions
from stream.coverage import covered, floor_of
from stream.hub import Hub
from stream.reasons import EndReason
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
    standstill: str = ""  # why the tail counts as standing still while the log goes on; empty while it gets on
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
          archive if it has read to its end just now, and the session was here lately. Else the archive is asked: an end that it
          has is final; that it has none counts if it has come to where the ring begins, which has all ends since.
        """
        if self.hub is not None and self.hub.has_seen_end(uid, sid):
            return True
        ended = await self.sessions.is_ended(uid, sid) if brief is None else brief.ended
        if ended is None and self.is_caught_up() and self.hub is not None and self.hub.has_seen_no_end(uid, sid):
            return False
        if ended is None:
            ended = await self._is_ended_by_log(uid, sid)
            if brief is None or brief.is_reachable:
                await self.sessions.remember(sid, ended, until)
        return ended

    async def _is_ended_by_log(self, uid: int, sid: str) -> bool:
        """What the archive and the ring say together. Raises ArchiveUnavailable where there is a hole between the two."""
        ring, hub = self.ring, self.hub
        if ring is None or hub is None:
            raise ArchiveUnavailable("the tail has not found Kafka yet: how far the archive must be is not known")
        answer = await self.archive.is_ended(uid, sid)
        if not answer.regardless("an end is final") and not answer.reaches(floor_of(ring)):
            await covered(self.archive, ring)
            answer = await self.archive.is_ended(uid, sid)
        if answer.regardless("an end is final"):
            return True
        try:
            return answer.at_least(floor_of(ring)) or hub.has_seen_end(uid, sid)
        except Behind as error:
            raise ArchiveUnavailable(str(error)) from error

    def is_caught_up(self) -> bool:
        """Whether every partition has just answered that there is nothing more in it."""
        return 0 <= time.time() - self.caught_up_at < _JUST_NOW

    @property
    def unready(self) -> dict[str, str]:
        """What is missing for new streams, each with the reason; empty when the node takes them."""
        reasons = {"tail": self.missing or self.standstill, "drain": "ending" if self.draining else ""}
        return {name: why for name, why in reasons.items() if why}

    def refusal(self, uid: int) -> EndReason | None:
        """The reason why one more stream of this user is not taken here now."""
        if self.draining:
            return EndReason.DRAIN
        if self.unready or self.hub is None:
            return EndReason.UNAVAILABLE
        if (
            len(self.hub.of_user(uid)) >= self.settings.streams_per_user
            or len(self.hub) >= self.settings.streams_per_node
        ):
            return EndReason.TOO_MANY
        return None
