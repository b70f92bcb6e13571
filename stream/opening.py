"""How a stream begins: with what it missed since its cursor, or, if that cannot be, a gap and a snapshot."""

import asyncio
import time
from collections.abc import AsyncGenerator

from store import cursor
from store.briefs import Brief
from store.cursor import BadCursor, Cursor
from store.follows import Follows
from store.process import heed_cancellation
from stream.backlog import NotCovered, archived, covers
from stream.frames import Frame, frame, snapshot
from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node, retry_ms
from stream.replay import place_at
from stream.ring import Ring
from stream.stream import Stream

_SNAPSHOT = 50
_COVERED_WITHIN = 3.0  # seconds for the storekeeper to reach what the ring has dropped


class Opening:
    """Gives a stream its followees and its place. All raise ArchiveUnavailable or FeedUnavailable when they cannot."""

    def __init__(self, node: Node, ring: Ring, hub: Hub, meters: Meters, stream: Stream) -> None:
        self._node, self._ring, self._hub, self._meters, self._stream = node, ring, hub, meters, stream

    async def begin(self, text: str | None) -> AsyncGenerator[list[Frame], None]:
        """Hello, and everything that comes before the stream has a place in the ring. `text` is the client's cursor.

        Nothing, and the stream's end is set, if its session has ended.
        """
        stream, hub, feed = self._stream, self._hub, self._node.feed
        start = self._start(text)
        # What this node knows of people is as old as its ring: no answer for a client that has seen more of the log elsewhere.
        knows = isinstance(start, Cursor) and hub.knows(stream.uid) and self._has(start.offsets)
        shown = 0 if isinstance(start, Cursor) else _SNAPSHOT
        brief = await feed.brief(stream.uid, stream.sid, following=not knows, feed=shown)
        if await self._node.has_ended(stream.uid, stream.sid, stream.expires_at, brief):
            stream.end = stream.end or "signed-out"
            return
        follows = hub.known_follows(stream.uid) if knows else self._told(brief)
        if follows is None:
            follows = Follows(await feed.following(stream.uid, Cursor(self._ring.epoch, tuple(self._ring.floor))))
            heed_cancellation()  # or a stream that was removed meanwhile would be told of events for ever
        hub.subscribe(stream, follows)
        resumed = isinstance(start, Cursor) and await self._reachable(start.offsets)
        yield [self._hello(resumed)]
        if isinstance(start, Cursor) and resumed:
            async for batch in self._resume(start.offsets):
                yield batch
            return
        gap = (start if isinstance(start, str) else "too-old") if text is not None else None
        yield await self.anew(gap, text, brief if shown else None)

    async def anew(self, gap: str | None, lost: str | None, brief: Brief | None = None) -> list[Frame]:
        """A snapshot, after a gap if there is one to tell of; the stream goes on where the snapshot is complete."""
        page = await self._node.feed.page(self._stream.uid, None, _SNAPSHOT, brief)
        place = cursor.decode(page.cursor) if page.cursor else None
        if place is None or place.epoch != self._ring.epoch or not self._ring.reaches(place.offsets):
            # The storekeeper is behind the ring's oldest events, or has never run: what lies between cannot be had now.
            gap = gap or ("storekeeper" if place is not None else None)
            place = Cursor(self._ring.epoch, tuple(self._ring.floor))
        place_at(self._stream, self._ring, place.offsets)
        self._stream.repeats = frozenset(page.ids)
        at = cursor.encode(place.epoch, place.offsets)
        shown = [snapshot(page.items, page.next, at)]
        if gap is not None:
            self._meters.gaps.labels(gap).inc()
            shown.insert(0, frame("gap", {"reason": gap, "from": lost, "to": at}))
        return shown

    async def _resume(self, offsets: tuple[int, ...]) -> AsyncGenerator[list[Frame], None]:
        vector = list(offsets)
        try:
            async for batch in archived(self._node.archive, self._stream, self._ring, vector):
                yield batch
        except NotCovered:
            yield await self.anew("too-old", cursor.encode(self._ring.epoch, vector))
            return
        place_at(self._stream, self._ring, vector)

    def _start(self, text: str | None) -> Cursor | str:
        """The cursor, or why it says nothing here."""
        try:
            start = cursor.decode(text or "")
        except BadCursor:
            return "malformed"
        if start.epoch != self._ring.epoch or len(start.offsets) != len(self._ring.next):
            return "epoch"
        return start

    def _told(self, brief: Brief) -> Follows | None:
        """Whom the user follows by what Redis has just said, if the ring has everything that Redis was not told of."""
        told = brief.told
        known = told is not None and told.epoch == self._ring.epoch and self._ring.reaches(told.offsets)
        return brief.following if known else None

    def _has(self, offsets: tuple[int, ...]) -> bool:
        """Whether this node has seen as much of the log, and has all that came since."""
        return self._ring.reaches(offsets) and all(map(int.__ge__, self._ring.next, offsets))

    async def _reachable(self, offsets: tuple[int, ...]) -> bool:
        """Whether everything since the cursor can be had, from the ring or, within a bound, from the archive."""
        until = time.monotonic() + _COVERED_WITHIN
        while not self._ring.reaches(offsets):
            if await covers(self._node.archive, self._ring):
                return True
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.1)
        return True

    def _hello(self, resumed: bool) -> Frame:
        fields = {
            "node": self._node.settings.node_name,
            "userId": self._stream.uid,
            "resumed": resumed,
            "heartbeat": self._node.settings.heartbeat,
            "expires_at": self._stream.expires_at,
        }
        return frame("hello", fields, retry=retry_ms())
