"""A link: one connection from the edge, and the streams on it. Here, and only here, the wire touches a socket."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import cast

from stream.meters import Meters
from stream.node import Node
from stream.wire.codes import MAX_STREAM_ID, Code
from stream.wire.happened import Asked, Gone, Happened
from stream.wire.requests import Answer
from stream.wire.stile import Stile
from stream.wire.turns import Turns

log = logging.getLogger(__name__)

_BUFFER_HIGH, _BUFFER_LOW = 4 * 2**20, 2**20  # bytes in the transport; above, the link's streams fall behind
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
_CLOSE_WITHIN = 5.0  # seconds for a peer to take our last words


class Link(Turns, asyncio.Protocol):
    """What has come in since the last turn goes out in the next: all of it, for all streams, in one write."""

    def __init__(self, node: Node, meters: Meters, stile: Stile, asked: "Callable[[Link, Asked], None]") -> None:
        super().__init__(node, meters, stile)
        self._asked = asked
        self._waiting, self._waiting_since = 0, self.loop.time()
        self._deadline: asyncio.TimerHandle | None = None  # for the peer to take our last words

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.closed = cast("asyncio.Transport", transport), False
        self._transport.set_write_buffer_limits(high=_BUFFER_HIGH, low=_BUFFER_LOW)
        self.want_write()

    def connection_lost(self, _: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()  # it would keep the link until then
        self.free_all()

    def pause_writing(self) -> None:
        self.paused_since = self.loop.time()

    def resume_writing(self) -> None:
        self.paused_since = None
        self.wake_starved()

    def data_received(self, data: bytes) -> None:
        for what in self.core.receive(data):
            try:
                self._heed(what)
            except Exception:
                # A fault of ours in one request ends that one, and none of its neighbours.
                log.exception("stream %d of a connection from the edge is reset", what.sid)
                self._reset(what.sid)
        if self.core.fault is not None:
            log.warning("a connection from the edge is closed (%s): %s", self.core.fault.code.name, self.core.fault)
            self.close()
        else:
            self.wake_opened()

    def _heed(self, what: Happened) -> None:
        outlet = self.outlets.get(what.sid)
        if isinstance(what, Gone):
            if outlet:
                self.free(outlet)
        elif what.sid not in self.core.windows.room:
            return  # it has gone in the same read: what it said before that finds nobody
        elif isinstance(what, Asked):
            self._asked(self, what)
        elif outlet and outlet.conversation is not None:
            outlet.conversation.hear(what.data)
            if what.ended and not outlet.last:  # it hung up without a word
                outlet.reset()

    def _reset(self, sid: int) -> None:
        if sid in self.core.windows.room:
            self.core.reset(sid, Code.INTERNAL_ERROR)
        if outlet := self.outlets.get(sid):
            self.free(outlet)
        self.want_write()

    def flush(self) -> None:
        """Gives to the transport what there is."""
        self.written = 0
        if self.core.out:
            self._transport.write(self.core.take_out())

    def stuck_for(self, now: float) -> float:
        """For how long the edge has not taken a byte of what waits; to be asked now and then."""
        waiting = self._transport.get_write_buffer_size() if self.paused_since is not None else 0
        if waiting < self._waiting or self.paused_since is None:
            self._waiting_since = now
        self._waiting = waiting
        return now - self._waiting_since

    def answer(self, sid: int, given: Answer) -> None:
        """A short answer, whole; no stream is made of it."""
        self.core.answer(sid, given.block)
        if self.room(sid) >= len(given.body):
            self.core.send(sid, given.body, last=True)
        else:
            self.core.reset(sid, Code.REFUSED_STREAM)
        self.want_write()

    def go_away(self) -> None:
        """Asks for no more streams here."""
        self.core.go_away(MAX_STREAM_ID)
        self.want_write()

    def close(self) -> None:
        """Ends the connection after what is to be sent, with all of its streams."""
        if not self.closed:
            self.flush()
            self._transport.close()
            self._deadline = self.loop.call_later(_CLOSE_WITHIN, self._transport.abort)
            self.free_all()

    def abort(self) -> None:
        """Ends the connection at once, and by a reset: an edge that does not read would not see its end otherwise."""
        if self.closed:
            return
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
        self.free_all()
