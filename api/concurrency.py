"""How much of the database one user may use at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.errors import ApiError

# All actions of a user wait for one row, so more connections would only wait for each other. With two, the next is at the row
# already when the one before commits.
_AT_ONCE = 2
_MOST_WAITING = 32  # at some 10 ms each, the last one waits for a third of a second
_LONGEST_WAIT = 2.0  # seconds, as long as MySQL waits for the row (innodb_lock_wait_timeout)


@dataclass(slots=True)
class _Queue:
    free: asyncio.Semaphore
    count: int = 0  # who is inside, and who waits


class UserConcurrency:
    """Lets two actions of each user go on at once in this process. The others wait here, with nothing in hand that others need."""

    def __init__(
        self, at_once: int = _AT_ONCE, most_waiting: int = _MOST_WAITING, longest_wait: float = _LONGEST_WAIT
    ) -> None:
        self._at_once, self._most, self._longest_wait = at_once, at_once + most_waiting, longest_wait
        self._queues: dict[int, _Queue] = {}  # of users who are inside or wait

    @asynccontextmanager
    async def slot(self, uid: int) -> AsyncIterator[None]:
        """Waits until this user may. Raises ApiError 429 when too many of theirs wait already, 503 when it takes too long."""
        queue = self._queues.setdefault(uid, _Queue(asyncio.Semaphore(self._at_once)))
        if queue.count >= self._most:
            message = "too many of your requests wait for each other: send fewer at once"
            raise ApiError(429, "too-many-requests", message, retry_after=1)
        queue.count += 1
        try:
            try:
                async with asyncio.timeout(self._longest_wait):
                    await queue.free.acquire()
            except TimeoutError:
                message = "another request of yours is still under way; nothing was done, try again in a moment"
                raise ApiError(503, "busy", message, retry_after=1) from None
            try:
                yield
            finally:
                queue.free.release()
        finally:
            queue.count -= 1
            if not queue.count:
                del self._queues[uid]
