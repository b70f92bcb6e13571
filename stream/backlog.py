"""The backlog: what a stream missed so long ago that the ring has dropped it, out of the archive."""

from collections.abc import AsyncGenerator

from store import cursor
from store.archive import Archive
from stream.coverage import floor_of
from stream.frames import Frame
from stream.ring import Ring
from stream.stream import Stream

_AT_ONCE = 200
_AT_MOST = 5000  # frames; whoever missed more is better served by a snapshot


class NotCovered(Exception):
    """The missing part cannot be had, or is too long to be worth it."""


async def covers(archive: Archive, ring: Ring) -> bool:
    """Whether the storekeeper has kept everything that the ring has dropped. Raises ArchiveUnavailable."""
    return (await archive.progress()).has_reached(floor_of(ring))


async def archived(
    archive: Archive, stream: Stream, ring: Ring, vector: list[int]
) -> AsyncGenerator[list[Frame], None]:
    """The stream's events from `vector` up to where the ring begins; `vector` goes on with them and ends there.

    Order is kept per partition, and so per author; every frame's id is exact. Raises NotCovered, ArchiveUnavailable.
    """
    sent = 0
    while not ring.reaches(vector):
        if not await covers(archive, ring):
            raise NotCovered
        for partition, floor in enumerate(tuple(ring.floor)):
            while vector[partition] < floor:
                span = range(vector[partition], floor)
                kept = await archive.between(ring.epoch, stream.authors, partition, span, _AT_ONCE)
                frames = []
                for event in kept:
                    vector[partition] = event.offset + 1
                    frames.append(Frame(event.type, event.value, cursor.encode(ring.epoch, vector)))
                if len(kept) < _AT_ONCE:
                    vector[partition] = floor
                sent += len(kept)
                if sent > _AT_MOST:
                    raise NotCovered
                if frames:
                    yield frames
