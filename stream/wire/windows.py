"""What may still be sent: the windows of one connection and of its streams, exact to the byte."""

from array import array

from stream.wire import frames
from stream.wire.codes import DEFAULT_WINDOW, MAX_WINDOW, Code, ConnectionFault, StreamFault

_HELD = 2**32  # taken off the window of a stream that is held: below 0, whatever comes in


class Windows:
    """`room[sid]` is what the stream's window lets through, or that minus 2**32 while the stream is held.

    A stream is held when it does not take part in `spread`. So one comparison per stream and payload tells whether it gets it.
    """

    def __init__(self) -> None:
        self.connection = self.initial = DEFAULT_WINDOW
        self.room: dict[int, int] = {}
        self.opened: list[int] = []  # held streams whose window a WINDOW_UPDATE has opened since somebody looked
        self.connection_opened = False

    def add(self, sid: int) -> None:
        """A stream, held."""
        self.room[sid] = self.initial - _HELD

    def hold(self, sid: int) -> None:
        """Takes the stream out of what `spread` reaches."""
        if self.is_free(sid):
            self.room[sid] -= _HELD

    def free(self, sid: int) -> None:
        """Lets `spread` reach the stream, unless its window is overdrawn (after SETTINGS made it smaller)."""
        if not self.is_free(sid) and self.room[sid] + _HELD >= 0:
            self.room[sid] += _HELD

    def is_free(self, sid: int) -> bool:
        """Whether `spread` reaches the stream."""
        return self.room[sid] >= 0

    def left(self, sid: int) -> int:
        """How many bytes the stream may be sent now."""
        own = self.room[sid]
        return max(0, min(own + _HELD if own < 0 else own, self.connection))

    def spend(self, sid: int, size: int) -> None:
        """Accounts for what was sent on a stream alone; at most what `left` said."""
        self.room[sid] -= size
        self.connection -= size
        assert self.connection >= 0

    def spread(self, sids: "array[int]", payload: bytes) -> tuple[bytes, list[int]]:
        """The payload in one DATA frame for each of the streams that are free and have room for it, and the ids of the others."""
        size, room = len(payload), self.room
        short = []
        if size * len(sids) > self.connection:
            fit = self.connection // size
            sids, short = sids[:fit], list(sids[fit:])
        missed = len(short)
        for sid in sids:
            left = room[sid] - size
            if left >= 0:
                room[sid] = left
            else:
                short.append(sid)
        if len(short) > missed:
            without = set(short)
            sids = array("I", [sid for sid in sids if sid not in without])
        if not sids:
            return b"", short
        self.connection -= size * len(sids)
        return frames.data_for_all(sids, payload), short

    def grant(self, sid: int, increment: int) -> None:
        """A WINDOW_UPDATE for an open stream. Those of free streams are dealt with where frames are read."""
        if increment == 0:
            raise StreamFault(sid, Code.PROTOCOL_ERROR, "a window grows by nothing")
        own = self.room[sid] + increment
        held = self.room[sid] < 0
        if (own + _HELD if held else own) > MAX_WINDOW:
            raise StreamFault(sid, Code.FLOW_CONTROL_ERROR, "a window grows over 2^31-1")
        self.room[sid] = own
        if held:
            self.opened.append(sid)

    def grant_all(self, increment: int) -> None:
        """A WINDOW_UPDATE for the connection."""
        if increment == 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the connection's window grows by nothing")
        self.connection += increment
        if self.connection > MAX_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "the connection's window grows over 2^31-1")
        self.connection_opened = True

    def resize(self, initial: int) -> None:
        """SETTINGS_INITIAL_WINDOW_SIZE changes the windows of streams that are open, too, even to below 0 (RFC 9113, 6.9.2)."""
        if initial > MAX_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "an initial window over 2^31-1")
        change, self.initial = initial - self.initial, initial
        for sid, own in self.room.items():
            held = own < 0
            left = (own + _HELD if held else own) + change
            if left > MAX_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a new initial window takes a window over 2^31-1")
            # A free stream that is overdrawn becomes a held one; whoever wrote it finds out at its next frame.
            self.room[sid] = left - _HELD if held or left < 0 else left
            if self.room[sid] < 0 and change > 0:
                self.opened.append(sid)
