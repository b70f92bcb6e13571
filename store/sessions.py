"""Which sessions have ended: quickly from Redis, surely from whoever keeps them."""

import time
from contextlib import suppress

from redis.asyncio import Redis

from store.timelines import Unknown, redis_or_unknown

_ALIVE_KEPT = 300  # seconds: an ended session is always written over it, so this bounds only what Redis holds


class Sessions:
    """Never raises because Redis is gone; it just knows nothing then."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def mark_ended(self, sid: str, until: int) -> None:
        """Says that the session is over, until its last token has expired by itself (seconds since 1970)."""
        with suppress(Unknown), redis_or_unknown():
            await self._redis.set(f"session:{sid}", b"ended", ex=max(1, until - int(time.time())))

    async def is_ended(self, sid: str) -> bool | None:
        """None: Redis is gone or has not heard of it. Ask the lasting place then, and `remember` what it said."""
        try:
            with redis_or_unknown():
                state = await self._redis.get(f"session:{sid}")
        except Unknown:
            return None
        return None if state is None else state == b"ended"

    async def remember(self, sid: str, ended: bool, until: int) -> None:
        """Keeps what the lasting place said. `alive` never overwrites an end that came meanwhile."""
        if ended:
            await self.mark_ended(sid, until)
        else:
            with suppress(Unknown), redis_or_unknown():
                await self._redis.set(f"session:{sid}", b"alive", ex=_ALIVE_KEPT, nx=True)
