"""The backlog: what a stream missed so long ago that the ring has dropped it, out of the archive."""

from collections.abc import AsyncGenerator

from store import cursor
from store.archive import Archive
from stream.coverage import floor_of
from stream.frames import Frame
from stream.ring import Ring
from stream.stream import Stream

_AT_ONCE = 200  # events that the archive is asked for
BATCH_BYTES = 64 * 1024  # of frames at a time, and of values that the archive is asked for: all that waits for a stream
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

    Order is kept per partition, and so per author; every frame's id is exact. A batch is at most BATCH_BYTES, or one frame, and
    the archive is asked for the next when it has been taken. Raises NotCovered, ArchiveUnavailable.
    """
    sent = 0
    while not ring.reaches(vector):
        if not await covers(archive, ring):
            raise NotCovered
        for partition, floor in enumerate(tuple(ring.floor)):
            while vector[partition] < floor:
                frames = await _next(archive, stream, ring.epoch, vector, partition, floor=floor)
                sent += len(frames)
                if sent > _AT_MOST:
                    raise NotCovered
                if frames:
                    yield frames


async def _next(
    archive: Archive, stream: Stream, epoch: str, vector: list[int], partition: int, *, floor: int
) -> list[Frame]:
    """The first frames below `floor` in the partition. A function of its own: what it read is not kept while they wait."""
    span = range(vector[partition], floor)
    kept, stop = await archive.between(epoch, stream.authors, partition, span, limit=_AT_ONCE, max_bytes=BATCH_BYTES)
    frames: list[Frame] = []
    left = BATCH_BYTES
    for event in kept:
        vector[partition] = event.offset + 1
        made = Frame(event.type, event.value, cursor.encode(epoch, vector))
        left -= made.size
        if frames and left < 0:
            vector[partition] = event.offset
            return frames
        frames.append(made)
    vector[partition] = stop
    return frames
