"""Passwords, hashed with argon2id in a few threads, behind a waiting line that has an end."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from api.errors import ApiError

T = TypeVar("T")

# The first choice of RFC 9106's smaller set does not suit two small cores under a rush of sign-ins; this is OWASP's (19 MiB, 2, 1).
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_THREADS = 2
_LONGEST_LINE = 64  # at some 25 ms each, the last one waits less than a second


def hash_now(password: str) -> str:
    """The hash, made on this thread: for a start, never for a request."""
    return _HASHER.hash(password)


class Passwords:
    """Hashes and verifies away from the event loop. Raises ApiError 503 when too many are waiting already."""

    def __init__(self, longest_line: int = _LONGEST_LINE) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "argon2")
        self._longest_line, self.waiting = longest_line, 0
        self._nobody = hash_now(secrets.token_urlsafe())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """What is kept instead of the password."""
        return await self._in_line(lambda: _HASHER.hash(password))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password. With no hash it takes just as long, and is false."""
        right = await self._in_line(lambda: _is_right(hashed or self._nobody, password))
        return right and hashed is not None

    async def _in_line(self, work: Callable[[], T]) -> T:
        if self.waiting >= self._longest_line:
            raise ApiError(503, "busy", "too many people are signing in right now; try again", retry_after=1)
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self.waiting -= 1


def _is_right(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (Argon2Error, InvalidHashError):
        return False
