"""A link: one connection from the edge, and the streams on it. Here, and only here, the wire touches a socket."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Sequence
from itertools import chain
from typing import cast

from stream.hub import Hub, Stream
from stream.meters import Meters
from stream.node import Node
from stream.ring import Entry, Ring
from stream.wire.codes import MAX_STREAM_ID, Code
from stream.wire.core import Core
from stream.wire.happened import Asked, Gone, Said
from stream.wire.lane import Lane
from stream.wire.outlet import Outlet
from stream.wire.requests import Answer
from stream.wire.spread import spread
from stream.wire.voice import close

log = logging.getLogger(__name__)

_BUFFER_HIGH, _BUFFER_LOW = 4 * 2**20, 2**20  # bytes in the transport; above, the link's streams fall behind
_TURN = 0.005  # seconds for streams that are behind, before others have the loop
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
_CLOSE_WITHIN = 5.0  # seconds for a peer to take our last words


class Link(asyncio.Protocol):
    """What has come in since the last turn goes out in the next: all of it, for all streams, in one write."""

    def __init__(self, node: Node, meters: Meters, asked: "Callable[[Link, Asked], None]") -> None:
        self.node, self.meters, self._asked = node, meters, asked
        self.loop = asyncio.get_running_loop()
        self.core = Core()
        self.sse = Lane("wire-sse", lambda frame: frame.sse)
        self.ws = Lane("wire-ws", lambda frame: frame.message, close(1000, "bye"))
        self.outlets: dict[int, Outlet] = {}
        self.trailing: dict[int, float] = {}  # streams that are ahead of this node, and since when
        self.paused_since: float | None = None
        self.closed = True
        self._due: dict[int, None] = {}
        self._pending: list[Entry] = []
        self._scheduled = self._starved = False
        self._waiting, self._waiting_since = 0, 0.0
        self.written = 0  # bytes in `core.out` of what was spread
        self._sent = {lane: meters.delivered.labels(lane.door) for lane in (self.sse, self.ws)}

    @property
    def ring(self) -> Ring:
        """There is one as soon as a stream can be opened."""
        return cast("Ring", self.node.ring)

    @property
    def hub(self) -> Hub:
        """There is one as soon as a stream can be opened."""
        return cast("Hub", self.node.hub)

    @property
    def heartbeat(self) -> float:
        return self.node.settings.heartbeat

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.closed = cast("asyncio.Transport", transport), False
        self._transport.set_write_buffer_limits(high=_BUFFER_HIGH, low=_BUFFER_LOW)
        self.want_write()

    def connection_lost(self, _: Exception | None) -> None:
        self._free_all()

    def pause_writing(self) -> None:
        self.paused_since = self.loop.time()

    def resume_writing(self) -> None:
        self.paused_since = None
        self._wake_starved()

    def data_received(self, data: bytes) -> None:
        for what in self.core.receive(data):
            if isinstance(what, Asked):
                self._asked(self, what)
            elif outlet := self.outlets.get(what.sid):
                if isinstance(what, Gone):
                    self.free(outlet)
                elif isinstance(what, Said) and outlet.conversation is not None:
                    outlet.conversation.hear(what.data)
                    if what.ended and not outlet.last:  # it hung up without a word
                        outlet.cut()
        windows = self.core.windows
        if windows.opened:
            self._due.update(dict.fromkeys(windows.opened))
            windows.opened.clear()
        if windows.connection_opened:
            windows.connection_opened = False
            self._wake_starved()
        if self.core.fault is not None:
            log.warning("a connection from the edge is closed (%s): %s", self.core.fault.code.name, self.core.fault)
            self.close()
        elif self._due or self.core.out:
            self.want_write()

    def join(self, stream: Stream, author: int) -> None:
        outlet = cast("Outlet", stream)
        if self.outlets.get(outlet.number) is outlet:
            outlet.lane.join(outlet.number, author)

    def leave(self, stream: Stream, author: int) -> None:
        if not self.closed:
            outlet = cast("Outlet", stream)
            outlet.lane.leave(outlet.number, author)

    def hold(self, stream: Stream, entries: Sequence[Entry]) -> None:
        outlet = cast("Outlet", stream)
        if outlet.live:
            authors = set(outlet.authors)
            waiting = (entry.seq for entry in chain(self._pending, entries) if entry.arrival.actor in authors)
            outlet.fall_behind(next(waiting, self.ring.head))
            outlet.want_turn()

    def deliver(self, entries: Sequence[Entry]) -> None:
        self._pending += entries
        self.want_write()

    def next_seq(self) -> int:
        """The place of a live stream of the link: what has been delivered to it ends there."""
        return self._pending[0].seq if self._pending else self.ring.head

    def turn(self) -> None:
        """New entries first, so that whoever goes live afterwards has a clear place; then those who are behind, for a while."""
        self._scheduled = False
        if self.closed:
            return
        try:
            self._turn()
        except Exception:
            # What this turn was to deliver is lost for whoever stays: all come back with their cursor instead.
            log.exception("a connection from the edge is ended")
            self.abort()

    def _turn(self) -> None:
        if self._pending:
            entries, self._pending = self._pending, []
            for number in self.trailing:
                outlet = self.outlets[number]
                outlet.place = entries[0].seq if outlet.place is None else outlet.place
                outlet.want_turn()
            for lane in (self.sse, self.ws):
                self.count(lane, spread(self, lane, entries))
        until = self.loop.time() + _TURN
        while self._due and self.paused_since is None:
            number = next(iter(self._due))
            del self._due[number]
            if outlet_due := self.outlets.get(number):
                outlet_due.serve()
            if self.loop.time() > until:
                self.want_write()
                break
        self.flush()

    def flush(self) -> None:
        """Gives to the transport what there is."""
        self.written = 0
        if self.core.out:
            self._transport.write(self.core.take_out())

    def want(self, number: int) -> None:
        """A turn for this stream."""
        self._due[number] = None
        self.want_write()

    def want_write(self) -> None:
        """A turn, soon."""
        if not self._scheduled and not self.closed:
            self._scheduled = True
            self.loop.call_soon(self.turn)

    def stuck_for(self, now: float) -> float:
        """For how long the edge has not taken a byte of what waits; to be asked now and then."""
        waiting = self._transport.get_write_buffer_size() if self.paused_since is not None else 0
        if waiting != self._waiting or self.paused_since is None:
            self._waiting, self._waiting_since = waiting, now
        return now - self._waiting_since

    def room(self, number: int) -> int:
        """How much can be written on this stream now."""
        return 0 if self.paused_since is not None else self.core.windows.left(number)

    def starved(self) -> None:
        """Somebody waits, perhaps for what all share: looked at again when that opens."""
        self._starved = True

    def count(self, lane: Lane, frames: int) -> None:
        self._sent[lane].inc(frames)

    def answer(self, sid: int, given: Answer) -> None:
        """A short answer, whole; no stream is made of it."""
        self.core.answer(sid, given.block)
        if self.room(sid) >= len(given.body):
            self.core.send(sid, given.body, last=True)
        else:
            self.core.reset(sid, Code.REFUSED_STREAM)
        self.want_write()

    def free(self, outlet: Outlet) -> None:
        """Forgets a stream and all that is kept for it."""
        if self.outlets.pop(outlet.number, None) is not None:
            self._due.pop(outlet.number, None)
            self.trailing.pop(outlet.number, None)
            self.core.forget(outlet.number)
            self.hub.remove(outlet)
            outlet.freed()

    def go_away(self) -> None:
        """Asks for no more streams here."""
        self.core.go_away(MAX_STREAM_ID)
        self.want_write()

    def close(self) -> None:
        """Ends the connection after what is to be sent, with all of its streams."""
        if not self.closed:
            self.flush()
            self._transport.close()
            self.loop.call_later(_CLOSE_WITHIN, self._transport.abort)
            self._free_all()

    def abort(self) -> None:
        """Ends the connection at once, and by a reset: an edge that does not read would not see its end otherwise."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
        self._free_all()

    def _free_all(self) -> None:
        self.closed = True
        self.sse.clear()
        self.ws.clear()
        self._pending.clear()
        for outlet in list(self.outlets.values()):
            self.free(outlet)

    def _wake_starved(self) -> None:
        if self._starved:
            self._starved = False
            self._due.update({number: None for number, outlet in self.outlets.items() if not outlet.live})
            self.want_write()
