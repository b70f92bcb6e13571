"""HTTP/2 frames as bytes: how one is written, and how one payload is written for many streams at once."""

from array import array
from collections.abc import Mapping
from struct import Struct
from sys import byteorder

from stream.wire.codes import FRAME_BYTES, Code, Flag, Kind, Setting

_HEAD = Struct(">HBBBL")
_LONG = Struct(">L")
_SETTING = Struct(">HL")


def frame(kind: int, flags: int, sid: int, payload: bytes = b"") -> bytes:
    """One frame. The payload is at most FRAME_BYTES long."""
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, sid) + payload


def data(sid: int, payload: bytes, flags: int = 0) -> bytes:
    """DATA frames for one stream, as many as it takes; `flags` are those of the last one."""
    if len(payload) <= FRAME_BYTES:
        return frame(Kind.DATA, flags, sid, payload)
    pieces = [payload[at : at + FRAME_BYTES] for at in range(0, len(payload), FRAME_BYTES)]
    last = pieces.pop()
    return b"".join([frame(Kind.DATA, 0, sid, piece) for piece in pieces]) + frame(Kind.DATA, flags, sid, last)


def data_for_all(sids: "array[int]", payload: bytes) -> bytes:
    """One DATA frame with this payload for each of the streams.

    The frames differ in nothing but the id, so they are copied as a whole, and the four bytes of each id are then laid over.
    """
    count, step = len(sids), 9 + len(payload)
    if count == 1:
        return frame(Kind.DATA, 0, sids[0], payload)
    frames = bytearray(frame(Kind.DATA, 0, 0, payload) * count)
    ids = sids[:]
    if byteorder == "little":
        ids.byteswap()
    each = ids.tobytes()
    for byte in range(4):
        frames[5 + byte :: step] = each[byte::4]
    return bytes(frames)


def settings(values: Mapping[Setting, int]) -> bytes:
    """SETTINGS with these values."""
    return frame(Kind.SETTINGS, 0, 0, b"".join([_SETTING.pack(*item) for item in values.items()]))


def window_update(sid: int, increment: int) -> bytes:
    """Lets the peer send that many bytes more; on stream 0, on the connection."""
    return frame(Kind.WINDOW_UPDATE, 0, sid, _LONG.pack(increment))


def reset(sid: int, code: Code) -> bytes:
    """RST_STREAM: nothing of the stream is left."""
    return frame(Kind.RST_STREAM, 0, sid, _LONG.pack(code))


def go_away(last_sid: int, code: Code, why: str = "") -> bytes:
    """GOAWAY: streams above `last_sid` were not looked at and can be tried elsewhere."""
    return frame(Kind.GOAWAY, 0, 0, _LONG.pack(last_sid) + _LONG.pack(code) + why.encode()[:200])


def headers(sid: int, block: bytes, end: bool = False) -> bytes:
    """HEADERS with a whole header block, which is short with us."""
    return frame(Kind.HEADERS, Flag.END_HEADERS | (Flag.END_STREAM if end else 0), sid, block)
