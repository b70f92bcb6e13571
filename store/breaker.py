"""A breaker for Redis: while it hangs, one caller at a time waits for it, and the others go on without it at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, TimeoutError

_REST = 1.0  # seconds between two tries


class Breaker(Retry):
    """The retry policy of a pool: a connection that died while idle is replaced at once, and a time-out opens the breaker.

    While it is open, calls raise ConnectionError without asking; one a second tries, and closes it if it is answered.
    """

    def __init__(self) -> None:
        super().__init__(NoBackoff(), 1, (ConnectionError,))
        self._is_open, self._try_at = False, 0.0

    def __deepcopy__(self, memo: object) -> Self:
        return self  # each connection takes a copy, and they must know of each other

    async def call_with_retry(self, do: Callable[[], Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """As the library calls it, for every command and every connect."""
        loop = asyncio.get_running_loop()
        if self._is_open:
            if loop.time() < self._try_at:
                raise ConnectionError("Redis did not answer a moment ago")
            self._try_at = loop.time() + _REST
        try:
            answer = await super().call_with_retry(lambda: _asked(do), *args, **kwargs)
        except TimeoutError:
            self._is_open, self._try_at = True, loop.time() + _REST
            raise
        self._is_open = False
        return answer


async def _asked(do: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await do()
    except RuntimeError as error:
        # uvloop's word for a transport that closed a moment before it is written to; the library knows OSError alone.
        if "closed" not in str(error):
            raise
        raise ConnectionError(str(error)) from error
