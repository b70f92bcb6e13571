"""A cursor: a place in the log that a client can come back with, on any node.

It is the topic's epoch and, for each partition, the offset of the next record: one byte of version, 4 of epoch, then varints
(LEB128), as base64url without padding. Everything below an offset has been delivered or did not concern the reader.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_VERSION = 1
_EPOCH_BYTES = 4
_MAX_TEXT = 8 * 1024
_MAX_OFFSET = 2**63 - 1


class BadCursor(ValueError):
    """The text is not a cursor that we could have written."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """`epoch` is 8 hexadecimal digits; `offsets[p]` is the next offset to read in partition p."""

    epoch: str
    offsets: tuple[int, ...]

    def covers(self, other: Sequence[int]) -> bool:
        """Whether nothing below `other` is still to come after this cursor."""
        return all(mine >= theirs for mine, theirs in zip(self.offsets, other, strict=True))

    def has_reached(self, needed: "Cursor") -> bool:
        """Whether this place is in the same log as the other one, and nothing of what is below that is still to come."""
        same_log = self.epoch == needed.epoch and len(self.offsets) == len(needed.offsets)
        return same_log and self.covers(needed.offsets)


def encode(epoch: str, offsets: Iterable[int]) -> str:
    """The text of a cursor. Two places are equal exactly if their texts are."""
    out = bytearray((_VERSION,))
    out += bytes.fromhex(epoch)
    for offset in offsets:
        rest = offset
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return urlsafe_b64encode(out).rstrip(b"=").decode()


def decode(text: str) -> Cursor:
    """The cursor that `encode` made this text from. Raises BadCursor for every other text."""
    if len(text) > _MAX_TEXT:
        raise BadCursor(f"longer than {_MAX_TEXT} characters")
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, Base64Error):
        raise BadCursor("not base64url") from None
    if len(raw) <= 1 + _EPOCH_BYTES or raw[0] != _VERSION or raw[-1] & 0x80:
        raise BadCursor("cut short, or of another version")
    cursor = Cursor(raw[1 : 1 + _EPOCH_BYTES].hex(), tuple(_varints(raw[1 + _EPOCH_BYTES :])))
    if encode(cursor.epoch, cursor.offsets) != text:
        raise BadCursor("not in canonical form")
    return cursor


def _varints(raw: bytes) -> Iterable[int]:
    value = shift = 0
    for byte in raw:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            continue
        if value > _MAX_OFFSET:
            raise BadCursor("an offset does not fit 63 bits")
        yield value
        value = shift = 0
