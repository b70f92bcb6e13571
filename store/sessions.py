"""Which sessions have ended: quickly from Redis, surely from whoever keeps them."""

import time
from collections.abc import Sequence
from contextlib import suppress

from redis.asyncio import Redis

from store.timelines import Unknown, redis_or_unknown
from store.together import Together

KEPT_ENDED = 24 * 3600  # seconds: longer than any access token lives
# Seconds. An end is always written over it; but a Redis that loses its last second can lose the end and keep this, so it is less
# than RING_SECONDS: until then the nodes know the end from the log.
_ALIVE_KEPT = 300


class Sessions:
    """Never raises because Redis is gone; it just knows nothing then."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._keep_alive = Together(self._keep_all_alive)

    async def mark_ended(self, sid: str, until: int) -> None:
        """Says that the session is over, until its last token has expired by itself (seconds since 1970)."""
        await self._end(f"session:{sid}", until)

    async def mark_all_ended(self, uid: int, until: int) -> None:
        """Says that every session of the user is over, likewise: the account is gone."""
        await self._end(f"session:user:{uid}", until)

    async def is_ended(self, uid: int, sid: str) -> bool | None:
        """None: Redis is gone or has not heard of it. Ask the lasting place then, and `remember` what it said."""
        try:
            with redis_or_unknown():
                state, everyone = await self._redis.mget(f"session:{sid}", f"session:user:{uid}")
        except Unknown:
            return None
        return True if everyone is not None else None if state is None else state == b"ended"

    async def remember(self, sid: str, ended: bool, until: int) -> None:
        """Keeps what the lasting place said. `alive` never overwrites an end that came meanwhile."""
        if ended:
            await self.mark_ended(sid, until)
        else:
            await self._keep_alive(sid)

    async def _keep_all_alive(self, sids: Sequence[str]) -> Sequence[None]:
        with suppress(Unknown), redis_or_unknown():
            async with self._redis.pipeline(transaction=False) as pipe:
                for sid in sids:
                    pipe.set(f"session:{sid}", b"alive", ex=_ALIVE_KEPT, nx=True)
                await pipe.execute()
        return [None] * len(sids)

    async def _end(self, key: str, until: int) -> None:
        with suppress(Unknown), redis_or_unknown():
            await self._redis.set(key, b"ended", ex=max(1, until - int(time.time())))
