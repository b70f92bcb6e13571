"""New entries to the live streams of a link: the path that every event takes, and the one that must cost nothing."""

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stream.ring import Entry
from stream.wire.codes import FRAME_BYTES
from stream.wire.lane import Lane

if TYPE_CHECKING:
    from stream.wire.turns import Turns

_WRITE_BYTES = 512 * 1024  # after so many the transport is asked whether it takes more


class _Encoded(dict[int, bytes]):
    """Each entry once, and only if somebody reads it."""

    def __init__(self, entries: Sequence[Entry], lane: Lane) -> None:
        super().__init__()
        self._entries, self._lane = entries, lane

    def __missing__(self, number: int) -> bytes:
        made = self[number] = self._lane.encode(self._entries[number].frame)
        return made


def spread(link: "Turns", lane: Lane, entries: Sequence[Entry]) -> int:
    """One DATA frame for each stream and 16 KiB. A stream whose window is too small is behind from there on.

    Returns how many frames of ours have been delivered.
    """
    encoded, delivered = _Encoded(entries, lane), 0
    for sids, numbers in lane.readers(entries):
        for begin, end, payload in _payloads([encoded[number] for number in numbers]):
            short = _send(link, sids, payload)
            delivered += (end - begin) * (len(sids) - len(short))
            if short:
                place = entries[numbers[begin]].seq
                for sid in short:
                    outlet = link.outlets[sid]
                    if outlet.live:
                        outlet.fall_behind(place)
                        outlet.want_turn()
                without = set(short)
                sids = array("I", [sid for sid in sids if sid not in without])  # noqa: PLW2901
            if not sids:
                break
    return delivered


def _payloads(pieces: list[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """The pieces joined, at most a frame at a time. One that fits no frame comes alone; it is too long for this path."""
    if sum(map(len, pieces)) <= FRAME_BYTES:
        yield 0, len(pieces), b"".join(pieces)
        return
    begin = 0
    while begin < len(pieces):
        end, size = begin + 1, len(pieces[begin])
        while end < len(pieces) and size + len(pieces[end]) <= FRAME_BYTES:
            size += len(pieces[end])
            end += 1
        yield begin, end, b"".join(pieces[begin:end])
        begin = end


def _send(link: "Turns", sids: "array[int]", payload: bytes) -> list[int]:
    """Returns the streams that have not got it."""
    if len(payload) > FRAME_BYTES:
        return list(sids)
    short: list[int] = []
    step = max(1, _WRITE_BYTES // len(payload))
    for at in range(0, len(sids), step):
        some = sids[at : at + step] if len(sids) > step else sids
        if link.paused_since is not None:
            short += some
            continue
        written, missed = link.core.windows.spread(some, payload)
        short += missed
        if written:
            link.core.out.append(written)
            link.written += len(written)
            if link.written > _WRITE_BYTES:
                link.flush()
    return short
