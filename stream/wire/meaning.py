"""What each frame of a peer means (RFC 9113, 5 and 6), with the bounds on what it can make us keep or do."""

from struct import Struct

from stream.wire import blocks, frames
from stream.wire.codes import (
    DEFAULT_WINDOW,
    MAX_BLOCK_BYTES,
    MAX_BLOCK_FRAMES,
    MAX_STREAMS,
    MAX_WINDOW,
    Code,
    ConnectionFault,
    Flag,
    Kind,
    StreamFault,
)
from stream.wire.control import Control, expect
from stream.wire.happened import Asked, Gone, Happened, Said

_LONG = Struct(">L")


class Meaning(Control):
    """The half of a connection that listens, given frames that are whole. Raises ConnectionFault and StreamFault."""

    def __init__(self) -> None:
        super().__init__()
        self.happened: list[Happened] = []
        self.last_sid = 0
        self._decoder = blocks.decoder()
        self._block = bytearray()
        self._block_of: tuple[int, bool] | None = None  # stream and END_STREAM of a header block that is not yet whole
        self._block_frames = 0
        self._inbound: dict[int, int] = {}  # what the peer may still send on the streams that it has not ended
        self._inbound_all = DEFAULT_WINDOW

    def forget(self, sid: int) -> None:
        super().forget(sid)
        self._inbound.pop(sid, None)

    def understand(self, kind: int, flags: int, sid: int, payload: bytes) -> None:
        """Does what a frame says; what others have to know of is in `happened`."""
        match kind:
            case Kind.DATA:
                self._data(flags, sid, payload)
            case Kind.HEADERS:
                self._headers(flags, sid, payload)
            case Kind.CONTINUATION:
                if self._block_of is None:
                    raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
                self._continue(flags, payload)
            case Kind.RST_STREAM:
                self._reset(sid, payload)
            case Kind.WINDOW_UPDATE:
                expect(len(payload) == 4, "WINDOW_UPDATE is of 4 bytes", Code.FRAME_SIZE_ERROR)
                self.update(sid, _LONG.unpack(payload)[0] & MAX_WINDOW)
            case Kind.SETTINGS | Kind.PING | Kind.GOAWAY:
                expect(sid == 0, "the frame belongs to no stream")
                self.control(kind, flags, payload)
            case Kind.PUSH_PROMISE:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "only servers push")
            case Kind.PRIORITY:
                expect(sid != 0, "PRIORITY belongs to a stream")
                expect(len(payload) == 5, "PRIORITY is of 5 bytes", Code.FRAME_SIZE_ERROR)
                self.count_control()
            case _:
                self.count_control()  # of a kind that we don't know: ignored, as RFC 9113, 4.1 asks

    def update(self, sid: int, increment: int) -> None:
        """A WINDOW_UPDATE. One for a stream that is over is late, and means nothing."""
        if sid == 0:
            self.windows.grant_all(increment)
        elif sid in self.windows.room:
            self.windows.grant(sid, increment)
        else:
            self._expect_known(sid)

    def _data(self, flags: int, sid: int, payload: bytes) -> None:
        self._expect_known(sid)
        size = len(payload)
        self._inbound_all -= size
        expect(self._inbound_all >= 0, "more than the connection's window", Code.FLOW_CONTROL_ERROR)
        if self._inbound_all < DEFAULT_WINDOW // 2:
            self.out.append(frames.window_update(0, DEFAULT_WINDOW - self._inbound_all))
            self._inbound_all = DEFAULT_WINDOW
        ended = bool(flags & Flag.END_STREAM)
        data = _unpadded(flags, payload)
        if not data and not ended:
            self.count_control()
        if sid not in self._inbound:
            if sid in self.windows.room:
                raise StreamFault(sid, Code.STREAM_CLOSED, "DATA after END_STREAM")
            return  # of a stream that we have ended: the peer may not know it yet
        left = self._inbound[sid] - size
        if left < 0:
            raise StreamFault(sid, Code.FLOW_CONTROL_ERROR, "more than the stream's window")
        if ended:
            del self._inbound[sid]
        elif left < DEFAULT_WINDOW // 2:
            self.out.append(frames.window_update(sid, DEFAULT_WINDOW - left))
            left = DEFAULT_WINDOW
        if not ended:
            self._inbound[sid] = left
        self.happened.append(Said(sid, data, ended))

    def _headers(self, flags: int, sid: int, payload: bytes) -> None:
        expect(sid % 2 == 1, "a client's streams are odd")
        block = _unpadded(flags, payload)
        if flags & Flag.PRIORITY:
            expect(len(block) >= 5, "HEADERS is too short for its priority", Code.FRAME_SIZE_ERROR)
            block = block[5:]
        self._block_of, self._block, self._block_frames = (sid, bool(flags & Flag.END_STREAM)), bytearray(), 0
        self._continue(flags, block)

    def _continue(self, flags: int, payload: bytes) -> None:
        assert self._block_of is not None
        self._block += payload
        self._block_frames += 1
        if self._block_frames > MAX_BLOCK_FRAMES or len(self._block) > MAX_BLOCK_BYTES:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "a header block that does not end")
        if flags & Flag.END_HEADERS:
            sid, ended = self._block_of
            self._block_of, block, self._block = None, bytes(self._block), bytearray()
            # Also when nobody wants it: the next block may refer to what this one puts into the table.
            self._request(sid, ended, blocks.decode(block, self._decoder))

    def _request(self, sid: int, ended: bool, headers: blocks.Headers) -> None:
        if sid <= self.last_sid:
            self._trailers(sid, ended)
            return
        self.last_sid = sid
        self.count_opened()
        if len(self.windows.room) >= MAX_STREAMS:
            raise StreamFault(sid, Code.REFUSED_STREAM, "too many streams are open")
        self.windows.add(sid)
        if not ended:
            self._inbound[sid] = DEFAULT_WINDOW
        self.happened.append(Asked(sid, headers, ended))

    def _trailers(self, sid: int, ended: bool) -> None:
        if sid in self._inbound:
            if not ended:
                raise StreamFault(sid, Code.PROTOCOL_ERROR, "trailers that don't end the stream")
            del self._inbound[sid]
            self.happened.append(Said(sid, b"", True))
        elif sid in self.windows.room:
            raise StreamFault(sid, Code.STREAM_CLOSED, "HEADERS after END_STREAM")
        else:
            self.count_control()

    def _reset(self, sid: int, payload: bytes) -> None:
        expect(len(payload) == 4, "RST_STREAM is of 4 bytes", Code.FRAME_SIZE_ERROR)
        self._expect_known(sid)
        if sid in self.windows.room:
            self.forget(sid)
            self.happened.append(Gone(sid))
        else:
            self.count_control()

    def _expect_known(self, sid: int) -> None:
        expect(0 < sid <= self.last_sid, "the stream was never opened")


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & Flag.PADDED:
        return payload
    expect(len(payload) > 0, "no room for the length of the padding", Code.FRAME_SIZE_ERROR)
    expect(payload[0] < len(payload), "the padding is longer than the frame")
    return payload[1 : len(payload) - payload[0]]
