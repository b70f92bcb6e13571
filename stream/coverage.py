"""Coverage: what the archive knows is enough for a node if it has everything that the node's ring has dropped."""

import asyncio
import time

from store.archive import Archive
from store.cursor import Cursor
from stream.ring import Ring

_WITHIN = 3.0  # seconds: a storekeeper that works is behind by less, and who waits is asked to come again after that
_LOOK_EVERY = 0.1


def floor_of(ring: Ring) -> Cursor:
    """From where on the ring has everything: what an answer about the past must have reached at least, now."""
    return Cursor(ring.epoch, tuple(ring.floor))


async def covered(archive: Archive, ring: Ring) -> Cursor | None:
    """The archive's progress, as soon as it covers all that the ring has dropped; None if it does not within 3 s.

    Raises ArchiveUnavailable.
    """
    until = time.monotonic() + _WITHIN
    while True:
        progress = await archive.progress()
        if progress.has_reached(floor_of(ring)):
            return progress
        if time.monotonic() > until:
            return None
        await asyncio.sleep(_LOOK_EVERY)
