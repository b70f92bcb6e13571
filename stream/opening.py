"""How a stream begins: with what it missed since its cursor, or, if that cannot be, a gap and a snapshot."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from dataclasses import replace

from store import cursor
from store.as_of import AsOf, Behind
from store.briefs import Brief
from store.cursor import BadCursor, Cursor
from store.feed import FeedUnavailable, Page, page_of
from store.follows import Follows
from store.process import heed_cancellation
from stream.backlog import NotCovered, archived
from stream.coverage import covered, floor_of
from stream.frames import Frame, fitting, frame, snapshot
from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node
from stream.reasons import EndReason, GapReason, usual_retry_ms
from stream.replay import place_at
from stream.ring import Ring
from stream.stream import Stream

_SNAPSHOT = 50
_SNAPSHOT_BYTES = (
    32 * 1024
)  # 50 events can be 215 KB, which waits for whoever takes nothing; older ones are read by pages
_LOST_BYTES = 8 * 1024  # of the cursor that a gap repeats; ours are shorter
_KNOWN_WITHIN = 1.0  # seconds for the archive, where Redis knows nothing (which it says within one, or is passed over)
_TRIES = (
    3  # readings of the archive: a ring that drops what is missing while it is read, again and again, is far too small
)


class Opening:
    """Gives a stream its followees and its place. All raise ArchiveUnavailable or FeedUnavailable when they cannot.

    A batch of frames is the caller's, to be emptied when it is encoded: else it would be kept as long as nobody takes it.
    """

    def __init__(self, node: Node, ring: Ring, hub: Hub, meters: Meters, stream: Stream) -> None:
        self._node, self._ring, self._hub, self._meters, self._stream = node, ring, hub, meters, stream

    async def begin(self, text: str | None) -> AsyncGenerator[list[Frame], None]:
        """Hello, and everything that comes before the stream has a place in the ring. `text` is the client's cursor.

        Nothing, not even an empty batch, and the stream's end is set, if the session is known to have ended. An empty batch where
        the archive does not say so within a second, or where the session lives and hello has to wait for the archive.
        """
        stream, hub = self._stream, self._hub
        start = self._start(text)
        # What this node knows of people is as new as its ring: no answer for a client that has seen more of the log elsewhere.
        is_ahead = isinstance(start, Cursor) and not all(map(int.__ge__, self._ring.next, start.offsets))
        knows = isinstance(start, Cursor) and hub.knows(stream.uid) and not is_ahead
        shown = 0 if isinstance(start, Cursor) else _SNAPSHOT
        brief = await self._node.feed.brief(stream.uid, stream.sid, following=not knows, feed=shown)
        page = None
        if brief.feed is not None:
            # Before anybody is waited for: many may, and each would keep 50 events.
            page, brief = page_of(stream.uid, _SNAPSHOT, brief), replace(brief, feed=None)
            page = page and _cut(page)
        try:
            async with asyncio.timeout(_KNOWN_WITHIN) if brief.ended is None else nullcontext():
                ended = await self._has_ended(brief)
        except TimeoutError:
            yield []
            ended = await self._has_ended(brief)
        if ended or stream.end is EndReason.SIGNED_OUT:
            hub.end(stream, EndReason.SIGNED_OUT)
            return
        if not (self._follow_as_told(brief) or (not is_ahead and self._follow_as_known())):
            page = None
            yield []
            await self._follow_as_archived()
        if isinstance(start, Cursor):
            if not self._ring.reaches(start.offsets):
                yield []
            if await self._reachable(start.offsets):
                yield [self._hello(True)]
                async for batch in self._resume(start.offsets):
                    yield batch
                return
        gap = (start if isinstance(start, GapReason) else GapReason.TOO_OLD) if text is not None else None
        first = [self._hello(False)]
        if page is None:
            yield first
            first = await self.anew(gap, text)
        else:
            first += self._shown(page, gap, text)
            page = None
        yield first

    async def anew(self, gap: GapReason | None, lost: str | None) -> list[Frame]:
        """A snapshot, after a gap if there is one to tell of; the stream goes on where the snapshot is complete."""
        page = _cut(await self._node.feed.page(self._stream.uid, None, _SNAPSHOT))
        return self._shown(page, gap, lost)

    def _shown(self, page: Page, gap: GapReason | None, lost: str | None) -> list[Frame]:
        place = cursor.decode(page.cursor) if page.cursor else None
        if place is None or place.epoch != self._ring.epoch or not self._ring.reaches(place.offsets):
            # The storekeeper is behind the ring's oldest events, or has never run: what lies between cannot be had now.
            gap = gap or (GapReason.STOREKEEPER if place is not None else None)
            place = Cursor(self._ring.epoch, tuple(self._ring.floor))
        place_at(self._stream, self._ring, place.offsets)
        at = cursor.encode(place.epoch, place.offsets)
        self._stream.repeats = frozenset(page.ids)
        shown = [snapshot(page.items, page.next, at)]
        if gap is not None:
            self._meters.gaps.labels(gap).inc()
            shown.insert(0, frame("gap", {"reason": gap, "from": _shortened(lost), "to": at}))
        return shown

    async def _has_ended(self, brief: Brief) -> bool:
        return await self._node.has_ended(self._stream.uid, self._stream.sid, self._stream.expires_at, brief)

    async def _resume(self, offsets: tuple[int, ...]) -> AsyncGenerator[list[Frame], None]:
        vector = list(offsets)
        try:
            async for batch in archived(self._node.archive, self._stream, self._ring, vector):
                yield batch
        except NotCovered:
            yield await self.anew(GapReason.TOO_OLD, cursor.encode(self._ring.epoch, vector))
            return
        place_at(self._stream, self._ring, vector)

    def _start(self, text: str | None) -> Cursor | GapReason:
        """The cursor, or why it says nothing here."""
        try:
            start = cursor.decode(text or "")
        except BadCursor:
            return GapReason.MALFORMED
        if start.epoch != self._ring.epoch or len(start.offsets) != len(self._ring.next):
            return GapReason.EPOCH
        return start

    def _follow_as_told(self, brief: Brief) -> bool:
        """By what Redis has just said, if the ring has everything that Redis was not told of. Whether it was done."""
        return brief.following is not None and self._follow(brief.following)

    def _follow_as_known(self) -> bool:
        """By what this node knows of the user, which is as of all that it has read. Whether it was done."""
        follows = self._hub.known_follows(self._stream.uid)
        if follows is not None:
            self._hub.subscribe(self._stream, follows, self._ring.next)
        return follows is not None

    async def _follow_as_archived(self) -> None:
        """By what the archive knows, once it has come to where the ring begins. Raises FeedUnavailable if that takes too long."""
        for _ in range(_TRIES):
            place = await covered(self._node.archive, self._ring)
            if place is None:
                break
            found = await self._node.feed.following(self._stream.uid, place)
            heed_cancellation()  # or a stream that was removed meanwhile would be told of events for ever
            if self._follow(found):
                return
        raise FeedUnavailable("the archive is further behind than this node's ring reaches back")

    def _follow(self, found: AsOf[Follows, Cursor] | AsOf[dict[int, int], Cursor]) -> bool:
        """By an answer from elsewhere, if it has come to where the ring begins: now, when the ring's changes are added to it."""
        try:
            follows = found.at_least(floor_of(self._ring))
        except Behind:
            return False
        assert found.position is not None
        follows = follows if isinstance(follows, Follows) else Follows(follows)
        self._hub.subscribe(self._stream, follows, found.position.offsets)
        return True

    async def _reachable(self, offsets: tuple[int, ...]) -> bool:
        """Whether everything since the cursor can be had, from the ring or, within a bound, from the archive."""
        return self._ring.reaches(offsets) or await covered(self._node.archive, self._ring) is not None

    def _hello(self, resumed: bool) -> Frame:
        fields = {
            "node": self._node.settings.node_name,
            "userId": self._stream.uid,
            "resumed": resumed,
            "heartbeat": self._node.settings.heartbeat,
            "expires_at": self._stream.expires_at,
        }
        return frame("hello", fields, retry=usual_retry_ms())


def _cut(page: Page) -> Page:
    """The page as far as a snapshot shows it; the rest is behind its `next`."""
    fit = fitting(page.items, _SNAPSHOT_BYTES)
    if fit == len(page.items):
        return page
    return Page(page.items[:fit], page.ids[:fit], page.ids[fit - 1], page.cursor)


def _shortened(lost: str | None) -> str | None:
    """The cursor that a client came with, or the beginning of what is too long to have been one."""
    return lost if lost is None or len(json.dumps(lost)) <= _LOST_BYTES else lost[: _LOST_BYTES // 8]
