"""A frame: what a client reads in one piece, in the form of either transport."""

import json
from collections.abc import Sequence
from typing import Any

from stream.reasons import EndReason

_TEXT = 1  # the opcode of a text message
_encode = json.JSONEncoder(separators=(",", ":")).encode  # `json.dumps` with separators makes an encoder at each call


class Frame:
    """One event as SSE bytes, as a WebSocket text or message: each encoded once, when it is first asked for, then shared."""

    __slots__ = ("_message", "_sse", "_ws", "data", "event", "id", "retry")

    def __init__(self, event: str, data: bytes, id: str | None = None, retry: int | None = None) -> None:
        """`data` is JSON in one line; `id` is the cursor a client has after this frame, None to leave it where it is.

        `retry`, in milliseconds, tells an EventSource how long to wait before it comes back.
        """
        self.event, self.data, self.id, self.retry = event, data, id, retry
        self._sse: bytes | None = None
        self._ws: str | None = None
        self._message: bytes | None = None

    @property
    def sse(self) -> bytes:
        """As Server-Sent Events write it (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
        if self._sse is None:
            head = "" if self.retry is None else f"retry: {self.retry}\n"
            head += f"event: {self.event}\n" if self.id is None else f"id: {self.id}\nevent: {self.event}\n"
            self._sse = head.encode() + b"data: " + self.data + b"\n\n"
        return self._sse

    @property
    def ws(self) -> str:
        """As the text of a WebSocket message: {"event", "id", "data"}."""
        if self._ws is None:
            head = f'{{"event":"{self.event}",' + ("" if self.id is None else f'"id":"{self.id}",')
            self._ws = head + '"data":' + self.data.decode() + "}"
        return self._ws

    @property
    def message(self) -> bytes:
        """As the bytes of a WebSocket message."""
        if self._message is None:
            self._message = websocket_frame(_TEXT, self.ws.encode())
        return self._message


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
    """The newest events of a feed, newest first; `before` asks the API for those older than them."""
    data = b'{"items":[' + b",".join(items) + b'],"next":' + _encode(before).encode() + b"}"
    return Frame("snapshot", data, id)
