"""The client's side of a WebSocket of the wire: what it says is answered one at a time."""

import asyncio
import logging

from store.archive import ArchiveUnavailable
from stream import lifecycle
from stream.inbound import Inbound, Violation
from stream.lifecycle import Now
from stream.reasons import EndReason
from stream.wire import voice
from stream.wire.outlet import Outlet
from stream.wire.voice import Close, Ping, Voice, size_of

log = logging.getLogger(__name__)

_WAITING = 60  # messages; `Inbound` answers fewer in a minute
_WAITING_BYTES = 16 * 1024  # of them, or one message: a token has less than one KB
_REST = 16 * 1024  # bytes that wait for a client; above, its pings are not answered (RFC 6455, 5.5.3 lets us)


class Conversation:
    """Made when a client says something; most never do. A task runs while there is something to answer."""

    def __init__(self, outlet: Outlet, inbound: Inbound) -> None:
        self._outlet, self._inbound, self._voice = outlet, inbound, Voice()
        self._waiting: list[str | bytes | Violation] = []  # after a violation nothing is heard
        self.task: asyncio.Task[None] | None = None
        self.close = b""  # the frame after the bye, if it is not the usual one

    def hear(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._waiting and isinstance(self._waiting[-1], Violation):
            return
        try:
            for said in self._voice.hear(data):
                if isinstance(said, Ping):
                    if len(self._outlet.rest) < _REST:
                        self._outlet.say(said.pong)
                elif isinstance(said, Close):
                    self._outlet.say(said.frame, last=True)
                    self._end(EndReason.CLOSED)
                elif not self._waiting or self._has_room_for(said):
                    self._waiting.append(said)
                else:
                    raise Violation(1008, "too many messages at once")
        except Violation as violation:
            self._waiting.append(violation)
        if self._waiting and self.task is None:
            self.task = asyncio.create_task(self._answer())

    def _has_room_for(self, said: str | bytes) -> bool:
        waiting = [size_of(one) for one in self._waiting if not isinstance(one, Violation)]
        return len(waiting) < _WAITING and sum(waiting) + size_of(said) <= _WAITING_BYTES

    async def _answer(self) -> None:
        try:
            while self._waiting:
                said = self._waiting[0]
                if isinstance(said, Violation):
                    raise said
                self._outlet.say((await self._inbound.answer_to(said)).message)
                del self._waiting[0]
        except Violation as violation:
            self._waiting = [violation]
            self.close = voice.close(violation.code, str(violation))
            self._end(EndReason.PROTOCOL)
        except ArchiveUnavailable:
            self._end(EndReason.UNAVAILABLE)
        except Exception:
            log.exception("a message of user %d could not be answered", self._outlet.uid)
            self._end(EndReason.UNAVAILABLE)
        self.task = None

    def _end(self, reason: EndReason) -> None:
        lifecycle.end(self._outlet, reason, Now.read().monotonic)
