"""How often something may be tried: passwords are guessed from many addresses, and the edge counts by address only."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from redis.asyncio import Redis

from api.errors import ApiError
from store.timelines import Unknown, redis_or_unknown

# KEYS: the counter. ARGV: the most, the window in ms. Answers when the window ends, in ms since 1970; when no try is left, how many
# ms of it are, negative. What is refused is not counted.
_BEGIN = """
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return -redis.call('PTTL', KEYS[1]) end
if redis.call('INCR', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('PEXPIRETIME', KEYS[1])
"""
# KEYS: the counter. ARGV: when the window of the try ends. A try is never taken out of another window than its own.
_TAKE_BACK = "if redis.call('PEXPIRETIME', KEYS[1]) == tonumber(ARGV[1]) then redis.call('DECR', KEYS[1]) end"


class Purpose(StrEnum):
    """What is tried. What is counted for one purpose is never counted for another."""

    SIGN_IN = "sign-in"
    SIGN_UP = "sign-up"
    LEAVE = "leave"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` in `window` seconds, and what somebody is told who has tried more often."""

    most: int
    window: int
    message: str


@dataclass(slots=True)
class Try:
    """One try that is under way. It counts once the answer is known to be a no."""

    counts: bool = False


class Tries:
    """Counted in Redis over all APIs. While Redis is gone, nobody counts."""

    def __init__(self, redis: "Redis", limits: Mapping[Purpose, Limit]) -> None:
        self._limits = limits
        self._begin, self._take_back = redis.register_script(_BEGIN), redis.register_script(_TAKE_BACK)

    @asynccontextmanager
    async def one(self, purpose: Purpose, whose: str) -> AsyncIterator[Try]:
        """A try, counted from its beginning, so that a thousand at once are a thousand; taken back at the end unless it `counts`.

        So a try that nobody has judged, because a server was away or busy or the client left, costs nothing.
        Raises ApiError 429 when there have been too many.
        """
        window = await self.count(purpose, whose)
        attempt = Try()
        try:
            yield attempt
        finally:
            if window and not attempt.counts:
                try:
                    with redis_or_unknown():
                        await self._take_back([self._key(purpose, whose)], [window])
                except Unknown:
                    pass  # it is over with its window

    async def count(self, purpose: Purpose, whose: str) -> int:
        """Counts one that is never taken back. When its window ends, for `one`; 0: nobody counts. Raises ApiError 429."""
        limit = self._limits[purpose]
        try:
            with redis_or_unknown():
                ends = await self._begin([self._key(purpose, whose)], [limit.most, limit.window * 1000])
        except Unknown:
            return 0
        if ends <= 0:
            raise ApiError(429, "too-many-requests", limit.message, retry_after=max(1, -(ends // 1000)))
        return int(ends)

    @staticmethod
    def _key(purpose: Purpose, whose: str) -> str:
        """No name is written into Redis as it was typed: people type passwords there."""
        return f"tries:{purpose}:{hashlib.sha256(whose.encode()).hexdigest()}"
