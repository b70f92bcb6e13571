"""The half of a connection that speaks: answers, data on one stream, resets. What spreads over many is in `windows`."""

from stream.wire import frames
from stream.wire.codes import MAX_STREAM_ID, Code, Flag
from stream.wire.windows import Windows


class Sending:
    """`out` collects what is to be sent. No byte is kept back: who sends asks `Windows.left` before."""

    def __init__(self) -> None:
        self.windows = Windows()
        self.out: list[bytes] = []

    def take_out(self) -> bytes:
        """All that is to be sent, once."""
        out, self.out = self.out, []
        return b"".join(out)

    def answer(self, sid: int, block: bytes) -> None:
        """Answers with a prepared header block."""
        self.out.append(frames.headers(sid, block))

    def send(self, sid: int, data: bytes, *, last: bool = False) -> None:
        """Sends on one stream, at most what its windows let through; after the last data the stream is forgotten."""
        self.windows.spend(sid, len(data))
        self.out.append(frames.data(sid, data, Flag.END_STREAM if last else 0))
        if last:
            self.forget(sid)

    def reset(self, sid: int, code: Code) -> None:
        """Ends a stream at once."""
        self.out.append(frames.reset(sid, code))
        self.forget(sid)

    def forget(self, sid: int) -> None:
        """Frees everything that is known of the stream."""
        self.windows.room.pop(sid, None)

    def go_away(self, last_sid: int = MAX_STREAM_ID, code: Code = Code.NO_ERROR, why: str = "") -> None:
        """Asks for no more streams; those that are open go on."""
        self.out.append(frames.go_away(last_sid, code, why))
