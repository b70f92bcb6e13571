"""A bulkhead: so many calls to a server at a time, the others wait here, and who waits too long is refused.

A driver that is given more calls than it has connections lets them wait inside their own time limits: all fail, and none is served.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class BulkheadFull(Exception):
    """Too many were there before: nothing was asked."""


class Bulkhead:
    """`at_once` callers are inside at a time, first come, first served; the others wait for at most `seconds`."""

    def __init__(self, at_once: int, seconds: float) -> None:
        self._at_once, self._seconds = at_once, seconds
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """A block that is one call, or a few that follow each other; not to be nested. Raises BulkheadFull."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise BulkheadFull(f"{self._at_once} calls at a time, and none ended in {self._seconds} s") from None
        try:
            yield
        finally:
            self._free.release()
