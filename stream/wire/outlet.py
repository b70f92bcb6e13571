"""An outlet: one stream of a link, with what of it did not fit the windows."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from store import cursor
from store.archive import ArchiveUnavailable
from store.feed import FeedUnavailable
from stream import lifecycle
from stream.frames import Frame, bye
from stream.lifecycle import Now
from stream.opening import Opening
from stream.reasons import EndReason, GapReason
from stream.replay import take
from stream.stream import Stream
from stream.wire.codes import Code
from stream.wire.lane import Lane
from stream.wire.requests import SIGNED_OUT, Answer

if TYPE_CHECKING:
    from stream.wire.conversation import Conversation
    from stream.wire.turns import Turns

log = logging.getLogger(__name__)

_AT_ONCE = 64 * 1024  # of frames for a stream that is behind, before others have their turn


@dataclass(eq=False, slots=True)
class Outlet(Stream):
    """`live` ones are reached by `Windows.spread`; the others are *behind*: they take from the ring what their window lets through.

    `head` is the header block of its answer until that has gone, and nothing goes before it. `rest` is what was begun and must go
    out before anything else; with `last` set, the stream ends with it. While `task` runs the stream is opening. Live streams cost
    no task and no timer of their own: the link looks at them at `at` (monotonic seconds).
    """

    link: "Turns" = field(kw_only=True)
    lane: Lane = field(kw_only=True)
    number: int = field(kw_only=True)  # its stream id on the link
    head: bytes = b""
    rest: bytes = b""
    last: bool = False
    live: bool = False
    at: float = float("inf")
    task: "asyncio.Task[None] | None" = None
    taken: "asyncio.Future[None] | None" = None
    conversation: "Conversation | None" = None

    def __post_init__(self) -> None:
        self.group = self.link

    def wake(self) -> None:
        if self.end is not None:
            self.at = 0.0
        self.want_turn()

    def want_turn(self) -> None:
        """Asks the link for a turn of `serve`."""
        self.link.want(self.number)

    def look(self) -> None:
        """Something can be due from now on that could not before: sees to it that the link looks in time."""
        self.at = min(self.at, lifecycle.look_at(self, Now.read(), self.link.slow_after))

    def cut(self) -> None:
        """Ends the stream, whose end is set, at once: with a bye if nothing is in its way, else by a reset."""
        if self.task is not None and not self.rest:  # it waits for our own stores, and can still be told
            self.task.cancel()
            self._opened()
        else:
            self.reset()

    def reset(self) -> None:
        """Ends the stream without a word."""
        self.link.core.reset(self.number, Code.CANCEL)
        self.link.free(self)

    def freed(self) -> None:
        """Lets go of everything. Nothing can be said any more."""
        self.last, self.live = True, False
        for task in (self.task, self.conversation and self.conversation.task):
            if task:
                task.cancel()
        self.task = self.taken = self.conversation = None

    def open(self, batches: "AsyncGenerator[list[Frame], None]") -> None:
        """Gives the stream these batches first, as its window lets them through."""
        self.is_opening = True
        self.task = asyncio.create_task(self._open(batches))
        self.look()

    def answer(self, block: bytes) -> None:
        """Answers with this header block, once; what waits for it goes from now on."""
        if self.head:
            self.link.core.answer(self.number, block)
            self.head = b""
            self.want_turn()

    def say(self, data: bytes, *, last: bool = False) -> None:
        """Sends this next, whole, or when the windows let it through; with `last`, nothing after it."""
        if not self.last:
            self.fall_behind(self.link.next_seq())
            self.rest, self.last = self.rest + data, last
            self.want_turn()

    def fall_behind(self, place: int) -> None:
        """A live stream has not had what stands at `place`; from now on it takes for itself."""
        if self.live:
            self.live, self.place = False, place
            self.link.core.windows.hold(self.number)

    def serve(self) -> None:
        """Sends what there is and the windows let through."""
        if not self._push() or self.task is not None:
            return
        ring, room = self.link.ring, self.link.core.windows.left(self.number)
        if lifecycle.has_lost_its_place(self, ring):
            self._end(EndReason.SLOW)
        elif self.place is not None and self.place < ring.head:
            if not room:
                self._wait()
                return
            frames = take(self, ring, min(room, _AT_ONCE))
            self.link.count(self.lane, len(frames))
            self.rest = b"".join(map(self.lane.encode, frames))
        elif self.end is None:
            take(self, ring, 0)
        if self._is_over():
            self._finish()
        elif not self._push():
            # Nobody tells a stream that is behind of what comes while its rest waits: it has to find it by its place.
            self.place = ring.head if self.place is None else self.place
        elif self.place is None:
            self._go_live()
        else:
            self.want_turn()

    def _push(self) -> bool:
        """Whether nothing begun is left. The stream may be over then."""
        if self.head:
            return False
        if not self.rest:
            return not self.last
        room = self.link.room(self.number)
        now, self.rest = self.rest[:room], self.rest[room:]
        if now:
            self.writing_since = None
            self.link.core.send(self.number, now, last=self.last and not self.rest)
        if self.rest:
            self._wait()
            return False
        if self.last:
            self.link.free(self)
            return False
        if self.taken is not None and not self.taken.done():
            self.taken.set_result(None)
        return True

    def _wait(self) -> None:
        if self.writing_since is None:
            self.writing_since = Now.read().monotonic
            self.look()
        self.link.starved()

    def _go_live(self) -> None:
        self.writing_since = None
        if self.beat_at == float("inf"):
            lifecycle.begin_beating(self, Now.read(), self.link.heartbeat)
            self.look()
        # Ahead of this node, or shown by its snapshot what this node has still to read: not told of the same as the others yet.
        may_be_ahead = self.past is not None or self.ahead_since is not None or self.repeats
        if may_be_ahead and lifecycle.reach_head(self, self.link.ring, Now.read().monotonic):
            self.link.trailing[self.number] = None
            self.look()
            return
        self.link.trailing.pop(self.number, None)
        self.link.core.windows.free(self.number)
        self.live = self.link.core.windows.is_free(self.number)
        if not self.live:  # its window is overdrawn: SETTINGS made it smaller
            self.place = self.link.ring.head

    def _finish(self) -> None:
        assert self.end is not None
        close = (self.conversation and self.conversation.close) or self.lane.close
        self.say(self.lane.encode(bye(self.end)) + close, last=True)
        self._push()

    def _is_over(self) -> bool:
        if self.end is None:
            lifecycle.expire(self, Now.read())
        return self.end is not None

    async def _open(self, batches: "AsyncGenerator[list[Frame], None]") -> None:
        try:
            async with aclosing(batches):
                async for batch in batches:
                    if self.task is None:  # freed, and a library has swallowed the cancellation
                        return
                    self.answer(self.head)
                    if self.last:  # its last words have been said meanwhile
                        break
                    self.link.count(self.lane, len(batch))
                    self.rest += b"".join(map(self.lane.encode, batch))
                    batch.clear()
                    whole = self._push()
                    self.link.want_write()
                    if not whole:
                        self.taken = self.link.loop.create_future()
                        await self.taken
                        self.taken = None
                    if self._is_over():
                        break
        except (ArchiveUnavailable, FeedUnavailable):
            self._end(EndReason.UNAVAILABLE)
        except Exception:
            log.exception("a stream of user %d could not be opened", self.uid)
            self._end(EndReason.UNAVAILABLE)
        if self.task is not None:
            self._opened()

    def _opened(self) -> None:
        self.task, self.is_opening = None, False
        if self.head and self.end is EndReason.SIGNED_OUT:
            self._refuse(SIGNED_OUT)
            return
        self.answer(self.head)
        if self._is_over():
            self.place = None  # nothing but a bye for one that has not been opened
        self.want_turn()

    def _refuse(self, given: Answer) -> None:
        """The answer in place of a stream."""
        self.answer(given.block)
        self.rest, self.last = given.body, True
        self.want_turn()

    def _end(self, reason: EndReason) -> None:
        lifecycle.end(self, reason, Now.read().monotonic)


def opening(outlet: Outlet, text: str | None) -> "AsyncGenerator[list[Frame], None]":
    """What a stream begins with."""
    return _opening_of(outlet).begin(text)


async def anew(outlet: Outlet) -> "AsyncGenerator[list[Frame], None]":
    """A gap and a snapshot, for one whose cursor this node has not reached in time."""
    assert outlet.past is not None
    yield await _opening_of(outlet).anew(GapReason.AHEAD, cursor.encode(outlet.link.ring.epoch, outlet.past))


def _opening_of(outlet: Outlet) -> Opening:
    link = outlet.link
    return Opening(link.node, link.ring, link.hub, link.meters, outlet)
