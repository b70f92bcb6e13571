"""The life of one stream, whichever door it came through: hello, what it missed, live events, heartbeats, bye."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from store import cursor
from store.archive import ArchiveUnavailable
from store.cursor import BadCursor, Cursor
from store.feed import FeedUnavailable
from store.tokens import Identity
from stream.backlog import NotCovered, archived, covers
from stream.frames import Frame, bye, frame, snapshot
from stream.hub import Hub, Stream
from stream.meters import Meters
from stream.node import Node, retry_ms
from stream.replay import here, place_at, take
from stream.ring import Ring

_BATCH_BYTES = 64 * 1024
_SNAPSHOT = 50
_AHEAD_AT_MOST = 10.0  # seconds for this node to reach a cursor that is ahead of it; a node lags by milliseconds
_COVERED_WITHIN = 3.0  # seconds for the storekeeper to reach what the ring has dropped


async def live(node: Node, meters: Meters, identity: Identity, text: str | None) -> AsyncGenerator[list[Frame], None]:
    """The frames of a stream, in batches, until it ends; the last one is a bye. `text` is the cursor that the client came with.

    Closing the generator forgets the stream.
    """
    ring, hub = node.ring, node.hub
    refusal = node.refusal(identity.uid)
    if refusal or ring is None or hub is None:
        yield [_ended(refusal or "unavailable", meters)]
        return
    life = _Life(node, ring, hub, meters, identity)
    hub.add(life.stream)
    try:
        async with aclosing(life.run(text)) as batches:
            async for batch in batches:
                life.last = next((frame.id for frame in reversed(batch) if frame.id), life.last)
                yield batch
        yield [_ended(life.stream.end or "unavailable", meters)]
    finally:
        hub.remove(life.stream)


class _Life:
    def __init__(self, node: Node, ring: Ring, hub: Hub, meters: Meters, identity: Identity) -> None:
        self._node, self._ring, self._hub, self._meters, self._identity = node, ring, hub, meters, identity
        self._woken = asyncio.Event()
        self.stream = Stream(identity.uid, identity.sid, identity.exp, self._woken.set)
        self._oldest = time.time() + node.settings.stream_max_age * random.uniform(0.75, 1.0)  # noqa: S311
        self.last: str | None = None

    async def run(self, text: str | None) -> AsyncGenerator[list[Frame], None]:
        """Everything but the bye; ends when the stream's end has come."""
        try:
            if await self._node.has_ended(self._identity.sid, self._identity.exp):
                self.stream.end = "signed-out"
                return
            self._hub.subscribe(self.stream, await self._node.feed.following(self._identity.uid))
            start = self._start(text)
            resumed = isinstance(start, Cursor) and await self._reachable(start.offsets)
            yield [self._hello(resumed)]
            if isinstance(start, Cursor) and resumed:
                self.last = text
                async for batch in self._from(start.offsets):
                    yield batch
            else:
                reason = start if isinstance(start, str) else "too-old"
                async for batch in self._anew(reason if text is not None else None, text):
                    yield batch
            async for batch in self._on():
                yield batch
        except (ArchiveUnavailable, FeedUnavailable):
            self.stream.end = "unavailable"

    def _start(self, text: str | None) -> Cursor | str:
        """The cursor, or why it says nothing here."""
        if text is None:
            return "new"
        try:
            start = cursor.decode(text)
        except BadCursor:
            return "malformed"
        if start.epoch != self._ring.epoch or len(start.offsets) != len(self._ring.next):
            return "epoch"
        return start

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

    async def _from(self, offsets: tuple[int, ...]) -> AsyncGenerator[list[Frame], None]:
        """From a cursor on: the archive's part, if the ring does not reach it; then the stream has a place in the ring."""
        vector = list(offsets)
        try:
            async for batch in archived(self._node.archive, self.stream, self._ring, vector):
                yield batch
        except NotCovered:
            async for batch in self._anew("too-old", self.last):
                yield batch
            return
        place_at(self.stream, self._ring, vector)

    async def _anew(self, gap: str | None, lost: str | None) -> AsyncGenerator[list[Frame], None]:
        """A gap, if there is one to tell of, and a snapshot; the stream goes on where the snapshot is complete."""
        page = await self._node.feed.page(self._identity.uid, None, _SNAPSHOT)
        place = cursor.decode(page.cursor) if page.cursor else None
        if place is None or place.epoch != self._ring.epoch or not self._ring.reaches(place.offsets):
            # The storekeeper lags the ring's oldest events, or has never run: what lies between can be had later, not now.
            gap = gap or ("storekeeper" if place is not None else None)
            place = Cursor(self._ring.epoch, tuple(self._ring.floor))
        at = cursor.encode(place.epoch, place.offsets)
        # Placed before anything is sent: however slowly that is read, what follows is taken from here on.
        place_at(self.stream, self._ring, place.offsets)
        self.stream.repeats = frozenset(page.ids)
        if gap is not None:
            self._meters.gaps.labels(gap).inc()
            yield [frame("gap", {"reason": gap, "from": lost, "to": at})]
        yield [snapshot(page.items, page.next, at)]

    async def _on(self) -> AsyncGenerator[list[Frame], None]:
        """Live, or on the way there, until the end."""
        stream, ring = self.stream, self._ring
        begun = beat = time.monotonic()
        while True:
            self._woken.clear()
            if self.last and stream.place is not None and stream.place < ring.oldest:
                async for batch in self._from(cursor.decode(self.last).offsets):
                    yield batch
            if batch := take(stream, ring, _BATCH_BYTES):
                yield batch
                continue
            now = time.monotonic()
            if stream.end:
                return
            if time.time() >= min(stream.expires_at, self._oldest):
                stream.end = "expired" if time.time() >= stream.expires_at else "rotate"
                return
            if stream.past is not None and now > begun + _AHEAD_AT_MOST:
                stream.past = None
                async for batch in self._anew("ahead", self.last):
                    yield batch
                continue
            if now >= beat + self._node.settings.heartbeat:
                beat = now
                stream.repeats = frozenset()
                yield [frame("heartbeat", {"at": int(time.time() * 1000)}, here(stream, ring))]
                continue
            await self._wait(min(beat + self._node.settings.heartbeat - now, stream.expires_at - time.time()))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.01, seconds)):
                await self._woken.wait()
        except TimeoutError:
            pass

    def _hello(self, resumed: bool) -> Frame:
        fields = {
            "node": self._node.settings.node_name,
            "userId": self._identity.uid,
            "resumed": resumed,
            "heartbeat": self._node.settings.heartbeat,
            "expires_at": self._identity.exp,
        }
        return frame("hello", fields, retry=retry_ms())


def _ended(reason: str, meters: Meters) -> Frame:
    meters.ended.labels(reason).inc()
    return bye(reason, retry_ms(reason))
