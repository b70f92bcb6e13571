"""The turns of a link: what is delivered to its streams, in which order, and how fairly. No socket here."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import cast

from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node
from stream.reasons import EndReason
from stream.ring import Entry, Ring
from stream.stream import Stream
from stream.wire.core import Core
from stream.wire.lane import Lane
from stream.wire.outlet import Outlet
from stream.wire.spread import spread
from stream.wire.stile import Stile
from stream.wire.voice import close

log = logging.getLogger(__name__)

_TURN = 0.005  # seconds for streams that are behind, before others have the loop
_DELIVERIES = 100_000  # of new entries in one turn; a burst of less goes out as one frame for each stream


class Turns(ABC):
    """The streams of one connection, as a group of the hub."""

    def __init__(self, node: Node, meters: Meters, stile: Stile) -> None:
        self.node, self.meters, self._stile = node, meters, stile
        self.loop = asyncio.get_running_loop()
        self.core = Core()
        self.sse = Lane("wire-sse", lambda frame: frame.sse)
        self.ws = Lane("wire-ws", lambda frame: frame.message, close(1000, "bye"))
        self.outlets: dict[int, Outlet] = {}
        self.trailing: dict[int, None] = {}  # streams that are ahead of this node
        self.paused_since: float | None = None  # the transport has as much as it may hold
        self.closed = True
        self.written = 0  # bytes in `core.out` of what was spread
        self._due: dict[int, None] = {}
        self._pending: list[Entry] = []
        self._scheduled = self._starved = False
        self._sent = {lane: meters.delivered.labels(lane.door) for lane in (self.sse, self.ws)}

    @abstractmethod
    def flush(self) -> None:
        """Gives to the transport what there is."""

    @abstractmethod
    def abort(self) -> None:
        """Ends the connection at once."""

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

    @property
    def slow_after(self) -> float:
        return self.node.settings.slow_after

    def join(self, stream: Stream, authors: Iterable[int]) -> None:
        outlet = cast("Outlet", stream)
        if self.outlets.get(outlet.number) is outlet:
            outlet.lane.join(outlet.number, authors)

    def leave(self, stream: Stream, authors: Iterable[int]) -> None:
        if not self.closed:
            outlet = cast("Outlet", stream)
            outlet.lane.leave(outlet.number, authors)

    def hold(self, stream: Stream, entries: Sequence[Entry]) -> None:
        outlet = cast("Outlet", stream)
        if outlet.live:
            authors = set(outlet.authors)
            waiting = (entry.seq for entry in chain(self._pending, entries) if entry.arrival.actor in authors)
            outlet.fall_behind(next(waiting, self.ring.head))
            outlet.want_turn()
        elif outlet.number in self.trailing and outlet.place is None:
            outlet.place = (self._pending or entries)[
                0
            ].seq  # where its turn will put it: what a follow brings ends there

    def deliver(self, entries: Sequence[Entry]) -> None:
        self._pending += entries
        self.want_write()

    @property
    def lags(self) -> bool:
        """Whether live streams have not been told of everything."""
        return bool(self._pending)

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
            entries = self._some_of_pending()
            for number in self.trailing:
                outlet = self.outlets[number]
                outlet.place = entries[0].seq if outlet.place is None else outlet.place
                outlet.want_turn()
            for lane in (self.sse, self.ws):
                self.count(lane, spread(self, lane, entries))
        if self._pending:
            # Whoever is behind would come to what is still pending here, and then get it twice.
            self.want_write()
            self.flush()
            return
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

    def _some_of_pending(self) -> list[Entry]:
        """Takes the next ones, as many as make a turn."""
        entries, many = self._pending, 0
        if len(entries) * len(self.outlets) > _DELIVERIES:
            for number, entry in enumerate(entries, 1):
                many += self.sse.count(entry.arrival.actor) + self.ws.count(entry.arrival.actor)
                if many >= _DELIVERIES:
                    self._pending = entries[number:]
                    return entries[:number]
        self._pending = []
        return entries

    def want(self, number: int) -> None:
        """A turn for this stream."""
        self._due[number] = None
        self.want_write()

    def want_write(self) -> None:
        """A turn, soon."""
        if not self._scheduled and not self.closed:
            self._scheduled = True
            self._stile.ask(self)

    def room(self, number: int) -> int:
        """How much can be written on this stream now."""
        return 0 if self.paused_since is not None else self.core.windows.left(number)

    def starved(self) -> None:
        """Somebody waits, perhaps for what all share: looked at again when that opens."""
        self._starved = True

    def count(self, lane: Lane, frames: int) -> None:
        self._sent[lane].inc(frames)

    def free(self, outlet: Outlet) -> None:
        """Forgets a stream and all that is kept for it."""
        if self.outlets.pop(outlet.number, None) is not None:
            self._due.pop(outlet.number, None)
            self.trailing.pop(outlet.number, None)
            self.core.forget(outlet.number)
            self.hub.remove(outlet)
            outlet.freed()
            if outlet.end is not None and outlet.end is not EndReason.CLOSED:
                self.meters.ended.labels(outlet.end).inc()

    def free_all(self) -> None:
        """Forgets all of them."""
        self.closed = True
        self.sse.clear()
        self.ws.clear()
        self._pending.clear()
        for outlet in list(self.outlets.values()):
            self.free(outlet)

    def wake_starved(self) -> None:
        """Gives a turn to those who waited for what all share."""
        if self._starved:
            self._starved = False
            self._due.update({number: None for number, outlet in self.outlets.items() if not outlet.live})
        self.want_write()

    def wake_opened(self) -> None:
        """Gives a turn to those whose windows the peer has opened."""
        windows = self.core.windows
        if windows.opened:
            self._due.update(dict.fromkeys(windows.opened))
            windows.opened.clear()
        if windows.connection_opened:
            windows.connection_opened = False
            self.wake_starved()
        elif self._due or self.core.out:
            self.want_write()
