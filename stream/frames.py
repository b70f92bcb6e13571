"""A frame: what a client reads in one piece, in the form of either transport."""

import json
from collections.abc import Sequence
from typing import Any

from stream.reasons import EndReason

_TEXT = 1  # the opcode of a text message
# Bytes that a form has beside data, event and id, at most: `{"event":"","id":"","data":}` and the head of a message, which is
# more than SSE's names, with its `retry:`.
_HEAD = 56
_SNAPSHOT_HEAD = 1024  # bytes of a snapshot without its items, whose id has some for each partition
_encode = json.JSONEncoder(separators=(",", ":")).encode  # `json.dumps` with separators makes an encoder at each call


class Tally:
    """How many bytes the encoded forms of some frames take."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Frame:
    """One event as SSE bytes and as a WebSocket message: each encoded once, when it is first asked for, then shared."""

    __slots__ = ("_message", "_sse", "_tally", "data", "event", "id", "retry")

    def __init__(
        self, event: str, data: bytes, id: str | None = None, retry: int | None = None, tally: Tally | None = None
    ) -> None:
        """`data` is JSON, in one line or broken between values; `id` is the cursor a client has after this frame, None to
        leave it where it is.

        `retry`, in milliseconds, tells an EventSource how long to wait before it comes back. `tally` counts what is encoded.
        """
        self.event, self.data, self.id, self.retry, self._tally = event, data, id, retry, tally
        self._sse: bytes | None = None
        self._message: bytes | None = None

    @property
    def size(self) -> int:
        """At least the bytes of either form, and less than 100 more, whether it is encoded or not."""
        return len(self.data) + len(self.event) + len(self.id or "") + _HEAD + self.data.count(b"\n") * len(b"data: ")

    @property
    def sse(self) -> bytes:
        """As Server-Sent Events write it (https://html.spec.whatwg.org/multipage/server-sent-events.html).

        A line break in the data begins another `data:` line; the reader joins them again.
        """
        if self._sse is None:
            head = "" if self.retry is None else f"retry: {self.retry}\n"
            head += f"event: {self.event}\n" if self.id is None else f"id: {self.id}\nevent: {self.event}\n"
            self._sse = head.encode() + b"data: " + self.data.replace(b"\n", b"\ndata: ") + b"\n\n"
            self._count(len(self._sse))
        return self._sse

    @property
    def ws(self) -> str:
        """As the text of a WebSocket message: {"event", "id", "data"}. Not kept: as text it can take four times its bytes."""
        return self._text().decode()

    @property
    def message(self) -> bytes:
        """As the bytes of a WebSocket message."""
        if self._message is None:
            self._message = websocket_frame(_TEXT, self._text())
            self._count(len(self._message))
        return self._message

    def leave_tally(self) -> None:
        """From now on it counts no more, nor does what it has been encoded to."""
        self._count(-len(self._sse or b"") - len(self._message or b""))
        self._tally = None

    def _text(self) -> bytes:
        head = f'{{"event":"{self.event}",' + ("" if self.id is None else f'"id":"{self.id}",')
        return head.encode() + b'"data":' + self.data + b"}"

    def _count(self, bytes: int) -> None:
        if self._tally is not None:
            self._tally.bytes += bytes


def websocket_frame(opcode: int, payload: bytes) -> bytes:
    """A whole message, or a control frame, as a server sends it: in one piece and without a mask (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 2**16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def frame(event: str, fields: dict[str, Any], id: str | None = None, retry: int | None = None) -> Frame:
    """A frame of our own making (hello, gap, snapshot, heartbeat)."""
    return Frame(event, _encode(fields).encode(), id, retry)


def bye(reason: EndReason) -> Frame:
    """The last frame of a stream: come back after its `retry` milliseconds, or do what the reason asks for first."""
    retry = reason.retry_ms
    return frame("bye", {"reason": reason, "retry": retry}, retry=retry)


def snapshot(items: Sequence[bytes], before: str | None, id: str) -> Frame:
    """The newest events of a feed, newest first, a line each; `before` asks the API for those older than them."""
    data = b'{"items":[' + b",\n".join(items) + b'],"next":' + _encode(before).encode() + b"}"
    return Frame("snapshot", data, id)


def fitting(items: Sequence[bytes], max_bytes: int) -> int:
    """How many of the items, from the first on, a snapshot of at most `max_bytes` holds, whichever way it is sent.

    The first it holds always: an event of 64 KiB would be one that nobody is shown.
    """
    left = max_bytes - _SNAPSHOT_HEAD
    for number, item in enumerate(items):
        left -= len(item) + len(b",\ndata: ")
        if left < 0:
            return max(1, number)
    return len(items)
