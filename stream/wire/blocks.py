"""Header blocks (RFC 7541): those of our answers, written once, and a peer's, read within bounds."""

from collections.abc import Iterable
from typing import Any

from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from stream.wire.codes import MAX_HEADER_LIST_BYTES, TABLE_BYTES, Code, ConnectionFault

Headers = list[tuple[bytes, bytes]]

_STATIC: list[tuple[bytes, bytes]] = [(b"", b""), *HeaderTable.STATIC_TABLE]
_STATUS = {200: 8, 204: 9, 400: 12, 404: 13, 500: 14}
_LINE_OVERHEAD = 32  # what a header counts beside its bytes (RFC 9113, 6.5.2)


def encode(status: int, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A block that uses no dynamic table: the same bytes are right at any time on any connection."""
    known = _STATUS.get(status)
    out = bytearray((0x80 | known,)) if known else bytearray(b"\x08" + _text(str(status).encode()))
    for name, value in headers:
        out += b"\x00" + _text(name.encode()) + _text(value.encode("latin-1"))
    return bytes(out)


def decoder() -> "Any":
    """A library decoder with our bounds, one for each connection: the peer may use its dynamic table."""
    made = Decoder(max_header_list_size=MAX_HEADER_LIST_BYTES)
    made.max_allowed_table_size = TABLE_BYTES
    return made


def decode(block: bytes, library: "Any") -> Headers:
    """The headers of a block. Raises ConnectionFault: what follows a block that was not understood cannot be either."""
    if (plain := _decode_plain(block)) is not None:
        return plain
    try:
        return [(bytes(name), bytes(value)) for name, value in library.decode(block, raw=True)]
    except OversizedHeaderListError as error:
        raise ConnectionFault(Code.ENHANCE_YOUR_CALM, str(error)) from None
    except (HPACKError, IndexError, ValueError) as error:
        raise ConnectionFault(Code.COMPRESSION_ERROR, str(error)) from None


def _decode_plain(block: bytes) -> Headers | None:
    """What HAProxy writes, and nothing else: literals without Huffman and without indexing, and the static table.

    None if there is anything that reads or changes the dynamic table, or is not in this form: that is the library's. A tenth
    of its price, and a connect costs little else.
    """
    out: Headers = []
    at, end, size = 0, len(block), 0
    try:
        while at < end:
            first = block[at]
            at += 1
            if first & 0x80:
                index = first & 0x7F
                if not 0 < index < len(_STATIC):
                    return None
                name, value = _STATIC[index]
            elif first & 0x60 or first & 0x0F == 0x0F:
                return None
            else:
                if index := first & 0x0F:
                    name = _STATIC[index][0]
                else:
                    length = block[at]
                    if length >= 0x7F:
                        return None
                    name = block[at + 1 : at + 1 + length]
                    at += 1 + length
                length = block[at]
                at += 1
                if length & 0x80:
                    return None
                if length == 0x7F:
                    length += block[at]
                    if block[at] & 0x80:
                        length += (block[at + 1] << 7) - 0x80
                        if block[at + 1] & 0x80:
                            return None
                        at += 1
                    at += 1
                value = block[at : at + length]
                at += length
                if at > end:
                    return None
            size += len(name) + len(value) + _LINE_OVERHEAD
            out.append((name, value))
    except IndexError:
        return None
    return out if size <= MAX_HEADER_LIST_BYTES else None


def _text(text: bytes) -> bytes:
    """A string literal without Huffman (RFC 7541, 5.2)."""
    size = len(text)
    if size < 0x7F:
        return bytes((size,)) + text
    out, size = bytearray((0x7F,)), size - 0x7F
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + text
