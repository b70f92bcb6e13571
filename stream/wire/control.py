"""Frames that concern a connection as a whole, and what a peer may do in a second."""

from struct import iter_unpack

from stream.wire import frames
from stream.wire.codes import FRAME_BYTES, MAX_CONTROLS, MAX_OPENED, Code, ConnectionFault, Flag, Kind, Setting
from stream.wire.sending import Sending


class Control(Sending):
    """SETTINGS, PING and GOAWAY. Raises ConnectionFault."""

    def __init__(self) -> None:
        super().__init__()
        self.settled = False  # whether the peer's first SETTINGS have come
        self._controls = self._opened = 0

    def tick(self) -> None:
        """Now and then, at most once in half a second: what a peer may do meanwhile begins anew."""
        self._controls = self._opened = 0

    def count_control(self) -> None:
        """Counts a frame that moves nothing."""
        self._controls += 1
        if self._controls > MAX_CONTROLS:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too many frames that move nothing")

    def count_opened(self) -> None:
        """Counts a stream, however soon it is over."""
        self._opened += 1
        if self._opened > MAX_OPENED:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too many streams at once")

    def control(self, kind: int, flags: int, payload: bytes) -> None:
        """Does what the frame says."""
        self.count_control()
        if kind == Kind.GOAWAY:
            expect(len(payload) >= 8, "GOAWAY is of 8 bytes and more", Code.FRAME_SIZE_ERROR)
        elif kind == Kind.PING:
            expect(len(payload) == 8, "PING is of 8 bytes", Code.FRAME_SIZE_ERROR)
            if not flags & Flag.ACK:
                self.out.append(frames.frame(Kind.PING, Flag.ACK, 0, payload))
        elif flags & Flag.ACK:
            expect(not payload, "an ACK of SETTINGS is empty", Code.FRAME_SIZE_ERROR)
        else:
            expect(len(payload) % 6 == 0, "SETTINGS are of 6 bytes each", Code.FRAME_SIZE_ERROR)
            for name, value in iter_unpack(">HL", payload):
                self._setting(name, value)
            self.settled = True
            self.out.append(frames.frame(Kind.SETTINGS, Flag.ACK, 0))

    def _setting(self, name: int, value: int) -> None:
        if name == Setting.INITIAL_WINDOW_SIZE:
            self.windows.resize(value)
        elif name == Setting.MAX_FRAME_SIZE:  # we never send more than the least that it may be
            expect(FRAME_BYTES <= value < 2**24, "a frame size out of bounds")
        elif name in (Setting.ENABLE_PUSH, Setting.ENABLE_CONNECT_PROTOCOL):
            expect(value <= 1, "neither yes nor no")


def expect(holds: bool, why: str, code: Code = Code.PROTOCOL_ERROR) -> None:
    """Ends the connection with this code unless it holds."""
    if not holds:
        raise ConnectionFault(code, why)
