"""How often somebody may try a name: passwords are guessed from many addresses, and the edge counts by address only."""

import hashlib
from dataclasses import dataclass

from redis.asyncio import Redis

from api.errors import ApiError
from store.timelines import Unknown, redis_or_unknown


@dataclass(frozen=True, slots=True)
class Tries:
    """At most `most` tries of a name in `window` seconds, counted in Redis over all APIs. While Redis is gone, nobody counts."""

    redis: "Redis"
    most: int
    window: int

    async def begin(self, name: str) -> None:
        """Counts first and judges then, so that a thousand at once are a thousand. Raises ApiError 429, whoever has the name."""
        key = self._key(name)
        try:
            with redis_or_unknown():
                async with self.redis.pipeline(transaction=True) as pipeline:
                    pipeline.incr(key)
                    pipeline.expire(key, self.window, nx=True)
                    pipeline.ttl(key)
                    tries, _, left = await pipeline.execute()
        except Unknown:
            return
        if tries > self.most:
            message = "this name was tried too often, wait a little"
            raise ApiError(429, "too-many-requests", message, retry_after=max(1, left))

    async def succeeded(self, name: str) -> None:
        """A try that was right counts as none."""
        key = self._key(name)
        try:
            with redis_or_unknown():
                if await self.redis.decr(key) < 0:
                    await self.redis.delete(key)
        except Unknown:
            return

    @staticmethod
    def _key(name: str) -> str:
        """No name is written into Redis as it was typed: people type passwords there."""
        return f"tries:{hashlib.sha256(name.lower().encode('utf-8', 'replace')).hexdigest()}"
