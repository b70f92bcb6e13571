"""What a peer must not do on the wire, as bytes, and the code that it is answered with."""

from stream.wire import codes, frames
from stream.wire.codes import MAX_WINDOW, Code, Flag, Kind

END = Flag.END_HEADERS | Flag.END_STREAM


def settings_of(*pairs: tuple[int, int]) -> bytes:
    return frames.frame(4, 0, 0, b"".join(n.to_bytes(2, "big") + v.to_bytes(4, "big") for n, v in pairs))


def update(sid: int, increment: int) -> bytes:
    return frames.frame(Kind.WINDOW_UPDATE, 0, sid, increment.to_bytes(4, "big"))


def connection_faults(block: bytes, new: int = 5) -> dict[str, tuple[bytes, Code | None]]:
    """On a connection where 1 is open and its request whole, the peer may speak on 3, and `new` is its next stream.

    `block` is a request's, of which a decoder remembers nothing.
    """
    return {
        "a frame over 16384 bytes": (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", Code.FRAME_SIZE_ERROR),
        "a frame of 16 MB": (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", Code.FRAME_SIZE_ERROR),
        "DATA on stream 0": (frames.data(0, b"x"), Code.PROTOCOL_ERROR),
        "DATA on a stream never opened": (frames.data(new, b"x"), Code.PROTOCOL_ERROR),
        "HEADERS on stream 0": (frames.headers(0, block), Code.PROTOCOL_ERROR),
        "HEADERS on an even stream": (frames.headers(2, block), Code.PROTOCOL_ERROR),
        "HEADERS all padding": (frames.frame(1, END | Flag.PADDED, new, b"\xff" + block), Code.PROTOCOL_ERROR),
        "HEADERS too short for padding": (frames.frame(1, END | Flag.PADDED, new), Code.FRAME_SIZE_ERROR),
        "HEADERS too short for priority": (frames.frame(1, END | Flag.PRIORITY, new, b"abc"), Code.FRAME_SIZE_ERROR),
        "RST_STREAM on stream 0": (frames.reset(0, Code.CANCEL), Code.PROTOCOL_ERROR),
        "RST_STREAM of a stream never opened": (frames.reset(new + 2, Code.CANCEL), Code.PROTOCOL_ERROR),
        "RST_STREAM of 3 bytes": (frames.frame(3, 0, 1, b"abc"), Code.FRAME_SIZE_ERROR),
        "SETTINGS on a stream": (frames.frame(4, 0, 1), Code.PROTOCOL_ERROR),
        "SETTINGS of 5 bytes": (frames.frame(4, 0, 0, bytes(5)), Code.FRAME_SIZE_ERROR),
        "an ACK of SETTINGS with a payload": (frames.frame(4, 1, 0, bytes(6)), Code.FRAME_SIZE_ERROR),
        "an initial window over 2^31-1": (settings_of((4, 2**31)), Code.FLOW_CONTROL_ERROR),
        "a frame size below 16384": (settings_of((5, 16383)), Code.PROTOCOL_ERROR),
        "a frame size over 2^24-1": (settings_of((5, 2**24)), Code.PROTOCOL_ERROR),
        "ENABLE_PUSH 2": (settings_of((2, 2)), Code.PROTOCOL_ERROR),
        "an initial window that takes an open stream's over 2^31-1": (
            update(1, 2**30) + settings_of((4, 2**31 - 10)),
            Code.FLOW_CONTROL_ERROR,
        ),
        "PUSH_PROMISE": (frames.frame(5, Flag.END_HEADERS, 1, bytes(4) + block), Code.PROTOCOL_ERROR),
        "PING on a stream": (frames.frame(6, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
        "PING of 7 bytes": (frames.frame(6, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
        "GOAWAY on a stream": (frames.frame(7, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
        "GOAWAY of 7 bytes": (frames.frame(7, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
        "WINDOW_UPDATE of 3 bytes": (frames.frame(8, 0, 1, bytes(3)), Code.FRAME_SIZE_ERROR),
        "WINDOW_UPDATE by 0 of the connection": (update(0, 0), Code.PROTOCOL_ERROR),
        "WINDOW_UPDATE of the connection over 2^31-1": (update(0, MAX_WINDOW), Code.FLOW_CONTROL_ERROR),
        "WINDOW_UPDATE of a stream never opened": (update(new + 4, 1), Code.PROTOCOL_ERROR),
        "PRIORITY on stream 0": (frames.frame(2, 0, 0, bytes(5)), Code.PROTOCOL_ERROR),
        "PRIORITY of 4 bytes": (frames.frame(2, 0, 3, bytes(4)), Code.FRAME_SIZE_ERROR),
        "CONTINUATION of nothing": (frames.frame(9, 4, 1, b""), Code.PROTOCOL_ERROR),
        "another frame inside a header block": (
            frames.frame(1, 0, new, block) + frames.frame(6, 0, 0, bytes(8)),
            Code.PROTOCOL_ERROR,
        ),
        "a WINDOW_UPDATE inside a header block": (frames.frame(1, 0, new, block) + update(1, 1), Code.PROTOCOL_ERROR),
        "CONTINUATION of another stream": (
            frames.frame(1, 0, new, block) + frames.frame(9, 4, new + 2, b""),
            Code.PROTOCOL_ERROR,
        ),
        "a header block that is no HPACK": (frames.headers(new, b"\xff" * 20), Code.COMPRESSION_ERROR),
        "an index that is in no table": (frames.headers(new, b"\xfe"), Code.COMPRESSION_ERROR),
        "a table larger than allowed": (frames.headers(new, b"\x3f\xff\xff\x03" + block), Code.COMPRESSION_ERROR),
        "more than the connection's window": (
            b"".join(frames.data(3, bytes(16384)) for _ in range(9)),
            None,  # windows are given back while they are used: no fault
        ),
        "more SETTINGS than move anything": (settings_of() * (codes.MAX_CONTROLS + 2), Code.ENHANCE_YOUR_CALM),
        "more PING": (frames.frame(6, 0, 0, bytes(8)) * (codes.MAX_CONTROLS + 2), Code.ENHANCE_YOUR_CALM),
        "more PRIORITY": (frames.frame(2, 0, 9, bytes(5)) * (codes.MAX_CONTROLS + 2), Code.ENHANCE_YOUR_CALM),
        "more empty DATA": (frames.data(3, b"") * (codes.MAX_CONTROLS + 2), Code.ENHANCE_YOUR_CALM),
        "more unknown frames": (frames.frame(99, 0, 0) * (codes.MAX_CONTROLS + 2), Code.ENHANCE_YOUR_CALM),
        "more RST of what is closed": (frames.reset(3, Code.CANCEL) * (codes.MAX_CONTROLS + 2), Code.ENHANCE_YOUR_CALM),
        "streams opened and reset for ever": (
            b"".join(
                frames.headers(sid, block) + frames.reset(sid, Code.CANCEL)
                for sid in range(new, new + 2 * codes.MAX_OPENED + 2, 2)
            ),
            Code.ENHANCE_YOUR_CALM,
        ),
        "CONTINUATION for ever": (
            frames.frame(1, 0, new, block) + frames.frame(9, 0, new, b"") * (codes.MAX_BLOCK_FRAMES + 1),
            Code.ENHANCE_YOUR_CALM,
        ),
        "a header block of 48 KB": (
            frames.frame(1, 0, new, block) + frames.frame(9, 0, new, bytes(16000)) * 3,
            Code.ENHANCE_YOUR_CALM,
        ),
        "a header bomb: 16 KB of references to one long header": (
            frames.headers(new, b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000) + frames.headers(new + 2, b"\xbe" * 16000),
            Code.ENHANCE_YOUR_CALM,
        ),
    }


def stream_faults(block: bytes) -> dict[str, tuple[int, bytes, Code]]:
    """On the same connection: the stream that ends, the bytes, and the code."""
    return {
        "DATA after its end": (1, frames.data(1, b"x"), Code.STREAM_CLOSED),
        "HEADERS after its end": (1, frames.headers(1, block, True), Code.STREAM_CLOSED),
        "trailers that don't end it": (3, frames.headers(3, block), Code.PROTOCOL_ERROR),
        "WINDOW_UPDATE by 0": (1, update(1, 0), Code.PROTOCOL_ERROR),
        "WINDOW_UPDATE over 2^31-1": (1, update(1, MAX_WINDOW), Code.FLOW_CONTROL_ERROR),
        "two WINDOW_UPDATEs over 2^31-1": (1, update(1, 2**30) + update(1, 2**30), Code.FLOW_CONTROL_ERROR),
    }
