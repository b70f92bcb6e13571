"""The life of one stream, whichever door it came through: hello, what it missed, live events, heartbeats, bye."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from store.archive import ArchiveUnavailable
from store.feed import FeedUnavailable
from store.process import heed_cancellation
from store.tokens import Identity
from stream.frames import Frame
from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node
from stream.opening import Opening
from stream.replay import take
from stream.ring import Ring
from stream.stream import Stream
from stream.words import (
    AHEAD_AT_MOST,
    ended,
    has_lost_its_place,
    heartbeat,
    is_ahead,
    is_over,
    rotation,
    seconds_to_word,
    warning,
)

_BATCH_BYTES = 64 * 1024


class SessionEnded(Exception):
    """The session is over, which was known before anything was said: there is no stream."""


async def live(
    node: Node, meters: Meters, identity: Identity, text: str | None, door: str
) -> AsyncGenerator[list[Frame], None]:
    """The frames of a stream, in batches, until it ends; the last one is a bye. `text` is the cursor that the client came with.

    The first batch, which may be empty, is there when the session is known to live, or that cannot be said in time.
    Raises SessionEnded in its place. A batch is the caller's, to be emptied when it is encoded.
    Closing the generator forgets the stream. It is pulled from the task that writes to the client, which `Stream.abort` cancels.
    """
    ring, hub = node.ring, node.hub
    refusal = node.refusal(identity.uid)
    if refusal or ring is None or hub is None:
        yield [ended(refusal or "unavailable", meters)]
        return
    life = _Life(node, ring, hub, meters, identity)
    stream = life.stream
    stream.door = door
    meters.opened.labels(door).inc()
    delivered = meters.delivered.labels(door)
    hub.add(stream)
    is_answered = False
    try:
        async with aclosing(life.run(text)) as batches:
            async for batch in batches:
                is_answered, many = True, len(batch)
                stream.writing_since = time.monotonic()
                yield batch
                stream.writing_since = None
                delivered.inc(many)
        last = ended(stream.end or "unavailable", meters)
        if stream.end == "signed-out" and not is_answered:
            raise SessionEnded
        yield [last]
    finally:
        hub.remove(stream)


class _Life:
    def __init__(self, node: Node, ring: Ring, hub: Hub, meters: Meters, identity: Identity) -> None:
        self._node, self._ring = node, ring
        self._woken = asyncio.Event()
        task = asyncio.current_task()
        assert task is not None
        self.stream = Stream(identity.uid, identity.sid, identity.exp, self._woken.set, task.cancel)
        self._opening = Opening(node, ring, hub, meters, self.stream)
        self.stream.rotate_at = rotation(node.settings.stream_max_age)

    async def run(self, text: str | None) -> AsyncGenerator[list[Frame], None]:
        """Everything but the bye; ends when the stream's end has come."""
        stream = self.stream
        try:
            async with aclosing(self._opening.begin(text)) as batches:
                async for batch in batches:
                    yield batch
                    if is_over(stream):
                        return
            if is_over(stream):
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
            if has_lost_its_place(stream, ring):
                return
            if batch := take(stream, ring, _BATCH_BYTES):
                yield batch
            # Whoever is ended while far behind gets one batch more, not all: the cursor says where to go on.
            if is_over(stream):
                return
            if batch:
                continue
            now = time.monotonic()
            if is_ahead(stream, ring) and now > begun + AHEAD_AT_MOST:
                yield await self._opening.anew("ahead", text)
            elif now >= beat + self._node.settings.heartbeat:
                beat = now
                stream.repeats = frozenset()
                yield [heartbeat(stream, ring)]
            elif word := warning(stream):
                yield [word]
            else:
                ahead_until = begun + AHEAD_AT_MOST if is_ahead(stream, ring) else math.inf
                await self._wait(min(beat + self._node.settings.heartbeat, ahead_until) - now)

    async def _wait(self, seconds: float) -> None:
        """Until something happens, or it is time for the next word."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.005, min(seconds, seconds_to_word(self.stream)))):
                await self._woken.wait()
