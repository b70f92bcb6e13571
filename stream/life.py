"""The life of one stream, whichever door it came through: hello, what it missed, live events, heartbeats, bye."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from store.archive import ArchiveUnavailable
from store.feed import FeedUnavailable
from store.process import heed_cancellation
from store.tokens import Identity
from stream.frames import Frame, bye, frame
from stream.hub import Hub, Stream
from stream.meters import Meters
from stream.node import Node, retry_ms
from stream.opening import Opening
from stream.replay import here, take
from stream.ring import Ring

_BATCH_BYTES = 64 * 1024
_AHEAD_AT_MOST = 10.0  # seconds for this node to reach a cursor that is ahead of it; a node lags by milliseconds
_WARNED_BEFORE = 60.0  # seconds between the word that the token expires and its expiry


async def live(
    node: Node, meters: Meters, identity: Identity, text: str | None, door: str
) -> AsyncGenerator[list[Frame], None]:
    """The frames of a stream, in batches, until it ends; the last one is a bye. `text` is the cursor that the client came with.

    Closing the generator forgets the stream. It is pulled from the task that writes to the client, which `Stream.abort` cancels.
    """
    ring, hub = node.ring, node.hub
    refusal = node.refusal(identity.uid)
    if refusal or ring is None or hub is None:
        yield [_ended(refusal or "unavailable", meters)]
        return
    life = _Life(node, ring, hub, meters, identity)
    stream = life.stream
    stream.door = door
    meters.opened.labels(door).inc()
    delivered = meters.delivered.labels(door)
    hub.add(stream)
    try:
        async with aclosing(life.run(text)) as batches:
            async for batch in batches:
                stream.writing_since = time.monotonic()
                yield batch
                stream.writing_since = None
                delivered.inc(len(batch))
        yield [_ended(stream.end or "unavailable", meters)]
    finally:
        hub.remove(stream)


class _Life:
    def __init__(self, node: Node, ring: Ring, hub: Hub, meters: Meters, identity: Identity) -> None:
        self._node, self._ring, self._identity = node, ring, identity
        self._woken = asyncio.Event()
        task = asyncio.current_task()
        assert task is not None
        self.stream = Stream(identity.uid, identity.sid, identity.exp, self._woken.set, task.cancel)
        self._opening = Opening(node, ring, hub, meters, self.stream)
        self._rotate_at = time.time() + node.settings.stream_max_age * random.uniform(0.75, 1.0)  # noqa: S311

    async def run(self, text: str | None) -> AsyncGenerator[list[Frame], None]:
        """Everything but the bye; ends when the stream's end has come."""
        stream = self.stream
        try:
            if await self._node.has_ended(self._identity.sid, self._identity.exp):
                stream.end = "signed-out"
                return
            async with aclosing(self._opening.begin(text)) as batches:
                async for batch in batches:
                    yield batch
                    if self._is_over():
                        return
            async with aclosing(self._on(text)) as batches:
                async for batch in batches:
                    yield batch
        except (ArchiveUnavailable, FeedUnavailable):
            stream.end = "unavailable"

    async def _on(self, text: str | None) -> AsyncGenerator[list[Frame], None]:
        """Live, or on the way there, until the end."""
        stream, ring = self.stream, self._ring
        begun = beat = time.monotonic()
        while True:
            heed_cancellation()  # or a client that left while Redis was asked would keep a stream that nobody reads
            self._woken.clear()
            if stream.place is not None and stream.place < ring.oldest:
                stream.end = "slow"
                return
            if batch := take(stream, ring, _BATCH_BYTES):
                yield batch
            # Whoever is ended while far behind gets one batch more, not all: the cursor says where to go on.
            if self._is_over():
                return
            if batch:
                continue
            now = time.monotonic()
            if stream.past is not None and now > begun + _AHEAD_AT_MOST:
                yield await self._opening.anew("ahead", text)
            elif now >= beat + self._node.settings.heartbeat:
                beat = now
                stream.repeats = frozenset()
                yield [frame("heartbeat", {"at": int(time.time() * 1000)}, here(stream, ring))]
            elif stream.warned_for != stream.expires_at and time.time() >= stream.expires_at - _WARNED_BEFORE:
                stream.warned_for = stream.expires_at
                yield [frame("expiring", {"expires_at": stream.expires_at})]
            else:
                await self._wait(beat + self._node.settings.heartbeat - now)

    def _is_over(self) -> bool:
        now = time.time()
        if self.stream.end is None and now >= self.stream.expires_at:
            self.stream.end = "expired"
        if self.stream.end is None and now >= self._rotate_at:
            self.stream.end = "rotate"
        return self.stream.end is not None

    async def _wait(self, seconds: float) -> None:
        """Until something happens, or it is time for the next word."""
        left = self.stream.expires_at - time.time()
        until_word = min(left, left - _WARNED_BEFORE if left > _WARNED_BEFORE else left)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.005, min(seconds, until_word))):
                await self._woken.wait()


def _ended(reason: str, meters: Meters) -> Frame:
    meters.ended.labels(reason).inc()
    return bye(reason, retry_ms(reason))
