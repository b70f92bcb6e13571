"""The numbers of HTTP/2 (RFC 9113) that the wire uses, and the bounds that it sets."""

from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW = 2**31 - 1
MAX_STREAM_ID = 2**31 - 1
DEFAULT_WINDOW = 65535
FRAME_BYTES = 16384  # the most that we accept, and the least that a peer must

# What a peer can make us keep. Whoever goes beyond gets ENHANCE_YOUR_CALM.
MAX_STREAMS = 4096  # open at once on one connection
MAX_BLOCK_BYTES = 32 * 1024  # of one header block, compressed; the edge itself takes 16 KiB
MAX_BLOCK_FRAMES = 16
MAX_HEADER_LIST_BYTES = 64 * 1024
TABLE_BYTES = 4096  # of the decoder's dynamic table
MAX_CONTROLS = (
    4000  # frames between two ticks that move nothing: SETTINGS, PING, PRIORITY, empty DATA, RST of what is closed
)
MAX_OPENED = 4 * MAX_STREAMS  # streams between two ticks, however soon they are over


class Kind(IntEnum):
    """Frame types (RFC 9113, 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntEnum):
    """END_STREAM is also the ACK of SETTINGS and PING."""

    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Code(IntEnum):
    """Error codes (RFC 9113, 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Setting(IntEnum):
    """Names of settings (RFC 9113, 6.5.2, and RFC 8441, 3)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8


class ConnectionFault(Exception):
    """The peer broke the protocol so that the whole connection ends, with this code."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(why)
        self.code = code


class StreamFault(Exception):
    """The peer broke it for one stream, which ends with this code; the connection goes on."""

    def __init__(self, sid: int, code: Code, why: str) -> None:
        super().__init__(why)
        self.sid, self.code = sid, code
