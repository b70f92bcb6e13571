"""What a client says on a WebSocket of the wire: messages for `Inbound`, pings, and the end."""

from collections.abc import Iterator
from dataclasses import dataclass

from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

from stream.frames import websocket_frame
from stream.inbound import Violation

_MAX_MESSAGE = 16 * 1024  # a token is all that a client says


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered by the pong."""

    pong: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The client is going; to be answered by the frame."""

    frame: bytes


class Voice:
    """One client's frames, cut anywhere. It keeps at most one unfinished message."""

    def __init__(self) -> None:
        self._parser = FrameProtocol(client=False, extensions=[])
        self._said: str | bytes | None = None  # one piece: thousands of small ones would take forty times their bytes
        self._size = 0

    def hear(self, data: bytes) -> "Iterator[str | bytes | Ping | Close]":
        """Texts, binary messages, pings and the end. Raises Violation for what is no WebSocket, or too long."""
        self._parser.receive_bytes(data)
        try:
            for frame in self._parser.received_frames():
                if isinstance(frame.payload, tuple):
                    yield Close(close(int(frame.payload[0])))
                    return
                if isinstance(frame.payload, str) or frame.opcode not in (Opcode.PING, Opcode.PONG):
                    yield from self._message(frame.payload, frame.message_finished)
                elif frame.opcode is Opcode.PING:
                    yield Ping(websocket_frame(Opcode.PONG, bytes(frame.payload)))
        except ParseFailed as error:
            raise Violation(int(error.code), str(error)) from None

    def _message(self, piece: str | bytes, finished: bool) -> Iterator[str | bytes]:
        # Also a piece without a byte counts: they must not come for ever.
        self._size += size_of(piece) + 1
        if self._size > _MAX_MESSAGE:
            raise Violation(CloseReason.MESSAGE_TOO_BIG, "the message is too long")
        if isinstance(piece, str):
            self._said = (self._said if isinstance(self._said, str) else "") + piece
        else:
            self._said = (self._said if isinstance(self._said, bytes) else b"") + bytes(piece)
        if finished:
            said, self._said, self._size = self._said, None, 0
            yield said


def size_of(said: str | bytes) -> int:
    """The bytes of a message as they came."""
    return len(said.encode() if isinstance(said, str) else said)


def close(code: int, why: str = "") -> bytes:
    """The frame that ends a WebSocket. A code that may not be sent (RFC 6455, 7.4.1) becomes 1000."""
    sendable = 1000 <= code < 1004 or 1007 <= code <= 1011 or 3000 <= code < 5000
    return websocket_frame(Opcode.CLOSE, (code if sendable else 1000).to_bytes(2, "big") + why.encode()[:100])
