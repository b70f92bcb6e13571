"""The life of one stream of the plain door: hello, what it missed, live events, heartbeats, bye."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing, suppress
from functools import partial

from store import cursor
from store.archive import ArchiveUnavailable
from store.feed import FeedUnavailable
from store.process import heed_cancellation
from store.tokens import Identity
from stream import lifecycle
from stream.frames import Frame, bye
from stream.hub import Hub
from stream.lifecycle import Now, Step
from stream.meters import Meters
from stream.node import Node
from stream.opening import Opening
from stream.reasons import EndReason, GapReason
from stream.replay import take
from stream.ring import Ring
from stream.stream import Stream

log = logging.getLogger(__name__)

_BATCH_BYTES = 64 * 1024
_LOOK_AT_LEAST = 0.005  # seconds between two looks at the clock, which may be a little behind the loop's


class SessionEnded(Exception):
    """The session is over, which was known before anything was said: there is no stream."""


def live(
    node: Node, meters: Meters, identity: Identity, text: str | None, door: str
) -> AsyncGenerator[list[Frame], None]:
    """The batches of a stream that only the node ends."""
    return Life(node, meters, identity, door).batches(text)


class Life:
    """One stream. It is pulled from the task that writes to the client, which `Stream.abort` cancels."""

    def __init__(self, node: Node, meters: Meters, identity: Identity, door: str) -> None:
        self._node, self._meters, self._door = node, meters, door
        self._woken = asyncio.Event()
        self._waiting: asyncio.Timeout | None = None  # while it waits for our own stores
        self._stream = Stream(identity.uid, identity.sid, identity.exp, self._woken.set, is_opening=True, door=door)

    def end(self, reason: EndReason) -> None:
        """Ends the stream after what it is writing; the first reason counts."""
        lifecycle.end(self._stream, reason, Now.read().monotonic)

    async def batches(self, text: str | None) -> AsyncGenerator[list[Frame], None]:
        """The frames of the stream until it ends; the last one is a bye. `text` is the cursor that the client came with.

        The first batch, which may be empty, is there when the session is known to live, or that cannot be said in time.
        Raises SessionEnded in its place. A batch is the caller's, to be emptied when it is encoded.
        Closing the generator forgets the stream.
        """
        stream, ring, hub = self._stream, self._node.ring, self._node.hub
        refusal = self._node.refusal(stream.uid)
        if refusal or ring is None or hub is None:
            refusal = refusal or EndReason.UNAVAILABLE
            self._meters.ended.labels(refusal).inc()
            yield [bye(refusal)]
            return
        stream.aborter = partial(self._abort, asyncio.current_task())
        stream.rotate_at = lifecycle.rotation(Now.read(), self._node.settings.stream_max_age)
        self._meters.opened.labels(self._door).inc()
        delivered = self._meters.delivered.labels(self._door)
        hub.add(stream)
        is_answered = False
        try:
            async with aclosing(self._until_its_end(ring, hub, text)) as batches:
                async for batch in batches:
                    is_answered, many = True, len(batch)
                    stream.writing_since = Now.read().monotonic
                    yield batch
                    stream.writing_since = None
                    delivered.inc(many)
            self.end(EndReason.UNAVAILABLE)  # unless it has a reason
            assert stream.end is not None
            if stream.end is EndReason.SIGNED_OUT and not is_answered:
                raise SessionEnded
            stream.writing_since = Now.read().monotonic
            yield [bye(stream.end)]
        finally:
            hub.remove(stream)
            if stream.end is not None:
                self._meters.ended.labels(stream.end).inc()

    async def _until_its_end(self, ring: Ring, hub: Hub, text: str | None) -> AsyncGenerator[list[Frame], None]:
        """Everything but the bye."""
        stream = self._stream
        opening = Opening(self._node, ring, hub, self._meters, stream)
        try:
            async with aclosing(opening.begin(text)) as batches:
                while (batch := await self._from_stores(anext(batches, None))) is not None:
                    yield batch
                    if self._is_over():
                        return
            if self._is_over():
                return
            stream.is_opening = False
            async with aclosing(self._on(ring, opening)) as batches:
                async for batch in batches:
                    yield batch
        except (ArchiveUnavailable, FeedUnavailable):
            self.end(EndReason.UNAVAILABLE)
        except Exception:
            log.exception("a stream of user %d is ended", stream.uid)
            self.end(EndReason.UNAVAILABLE)

    async def _on(self, ring: Ring, opening: Opening) -> AsyncGenerator[list[Frame], None]:
        """Live, or on the way there, until the end."""
        stream, settings = self._stream, self._node.settings
        lifecycle.begin_beating(stream, Now.read(), settings.heartbeat)
        while True:
            heed_cancellation()  # or a client that left while Redis was asked would keep a stream that nobody reads
            self._woken.clear()
            if lifecycle.has_lost_its_place(stream, ring):
                self.end(EndReason.SLOW)
                return
            # Whoever is ended while far behind gets one batch more, not all: the cursor says where to go on.
            batch = take(stream, ring, _BATCH_BYTES)
            has_had_all = not batch  # asked before the batch is the caller's, who empties it
            if batch:
                yield batch
            now = Now.read()
            if has_had_all:
                lifecycle.reach_head(stream, ring, now.monotonic)
            match lifecycle.next_step(stream, now, settings.slow_after):
                case Step.END | Step.CUT:
                    lifecycle.expire(stream, now)
                    return
                case Step.RESYNC if has_had_all:
                    assert stream.past is not None
                    stream.is_opening = True
                    lost = cursor.encode(ring.epoch, stream.past)
                    if shown := await self._from_stores(opening.anew(GapReason.AHEAD, lost)):
                        yield shown
                    stream.is_opening = False
                case Step.FORGET_REPEATS:
                    lifecycle.forget_repeats(stream)
                case Step.WARNING:
                    yield [lifecycle.warning(stream)]
                case Step.HEARTBEAT:
                    stream.beat_at = now.monotonic + settings.heartbeat
                    if has_had_all:
                        yield [lifecycle.heartbeat(stream, ring, now)]
                case _ if has_had_all:
                    await self._wait(lifecycle.look_at(stream, now, settings.slow_after) - now.monotonic)

    async def _from_stores(self, waiting: Awaitable[list[Frame] | None]) -> list[Frame] | None:
        """The next batch; None if there is none, or if the stream has ended meanwhile and this takes too long."""
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await waiting
        except TimeoutError:
            if self._stream.end is None:
                raise
            return None
        finally:
            self._waiting = None

    def _abort(self, task: "asyncio.Task[None] | None") -> None:
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())  # its client takes what comes, and can be told
        elif task is not None:
            task.cancel()

    def _is_over(self) -> bool:
        lifecycle.expire(self._stream, Now.read())
        return self._stream.end is not None

    async def _wait(self, seconds: float) -> None:
        """Until something happens, or it is time for the next word."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(_LOOK_AT_LEAST, seconds)):
                await self._woken.wait()


def cut_stalled(hub: Hub, now: Now, slow_after: float) -> None:
    """Cuts the streams of the plain door whose clients don't take what they are to take by now.

    To be asked every now and then from outside their own writes, which may never return.
    """
    for stream in hub.ungrouped():
        if lifecycle.next_step(stream, now, slow_after) is Step.CUT:
            lifecycle.end(stream, lifecycle.due_end(stream, now) or EndReason.SLOW, now.monotonic)
            stream.abort()
