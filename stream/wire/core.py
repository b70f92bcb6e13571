"""One h2c connection as a server sees it, without a socket: bytes in, what they mean out, and bytes to send back."""

from struct import Struct

from stream.wire import frames
from stream.wire.codes import (
    FRAME_BYTES,
    MAX_HEADER_LIST_BYTES,
    MAX_STREAM_ID,
    MAX_STREAMS,
    MAX_WINDOW,
    PREFACE,
    TABLE_BYTES,
    Code,
    ConnectionFault,
    Flag,
    Kind,
    Setting,
    StreamFault,
)
from stream.wire.happened import Gone, Happened
from stream.wire.meaning import Meaning

_HEAD = Struct(">LBL")
_UPDATES = Struct(">LBLL")
_UPDATE = 4 << 8 | Kind.WINDOW_UPDATE  # the first four bytes of every WINDOW_UPDATE

_OURS = frames.settings(
    {
        Setting.HEADER_TABLE_SIZE: TABLE_BYTES,
        Setting.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
        Setting.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST_BYTES,
        Setting.ENABLE_CONNECT_PROTOCOL: 1,
    }
)


class Core(Meaning):
    """Between two calls of `receive` it keeps at most one unfinished frame and one unfinished header block."""

    def __init__(self) -> None:
        super().__init__()
        self.out.append(_OURS)
        self.fault: ConnectionFault | None = None
        self._rest = b""
        self._greeted = False

    def receive(self, data: bytes) -> list[Happened]:
        """What the bytes mean. Never raises: a fault of the peer's shows as RST_STREAM or GOAWAY in `out`.

        After `fault` is set nothing more is understood: send `out` and close.
        """
        if self.fault is not None:
            return []
        data, self._rest = self._rest + data if self._rest else data, b""
        try:
            at = 0 if self._greeted else self._greet(data)
            while self._greeted and (end := self._next(data, at)) != at:
                at = end
            self._rest = data[at:]
        except ConnectionFault as fault:
            self.fault = fault
            self.go_away(self.last_sid, fault.code, str(fault))
        happened, self.happened = self.happened, []
        return happened

    def _greet(self, data: bytes) -> int:
        if not PREFACE.startswith(data[: len(PREFACE)]):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "this is not HTTP/2 with prior knowledge")
        self._greeted = len(data) >= len(PREFACE)
        return len(PREFACE) if self._greeted else 0

    def _next(self, data: bytes, at: int) -> int:
        """Reads the next frame, or a run of WINDOW_UPDATEs. Returns where the one after it begins; `at` if it is not whole."""
        if len(data) < at + 9:
            return at
        head, flags, sid = _HEAD.unpack_from(data, at)
        if head == _UPDATE and self.settled and self._block_of is None:
            return self._updates(data, at)
        size, kind, sid = head >> 8, head & 0xFF, sid & MAX_STREAM_ID
        if size > FRAME_BYTES:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a frame of more than 16384 bytes")
        if self._block_of is not None and (kind, sid) != (Kind.CONTINUATION, self._block_of[0]):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a header block was not finished")
        if not self.settled and (kind != Kind.SETTINGS or flags & Flag.ACK):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        end: int = at + 9 + size
        if len(data) < end:
            return at
        try:
            self.understand(kind, flags, sid, data[at + 9 : end])
        except StreamFault as fault:
            self._fail(fault)
        return end

    def _updates(self, data: bytes, at: int) -> int:
        """WINDOW_UPDATEs come in long runs, one for each DATA: the plain case, of a stream that is free, is done here."""
        room = self.windows.room
        whole = (len(data) - at) // 13 * 13
        for head, _, sid, increment in _UPDATES.iter_unpack(memoryview(data)[at : at + whole]):
            if head != _UPDATE:
                break
            left = room.get(sid, -1)
            if 0 <= left < left + increment <= MAX_WINDOW:
                room[sid] = left + increment
            else:
                try:
                    self.update(sid & MAX_STREAM_ID, increment & MAX_WINDOW)
                except StreamFault as fault:
                    self._fail(fault)
            at += 13
        return at

    def _fail(self, fault: StreamFault) -> None:
        self.count_control()
        self.reset(fault.sid, fault.code)
        self.happened.append(Gone(fault.sid))
