"""Which sessions have ended: quickly from Redis, surely from whoever keeps them.

An end is final and the same whoever says it, so there is one mark for it, which everybody writes and reads. That a session lives is
worth only as much as the place that said so: the primary is sure, the archive does not know what still waits on its way through the
log. So each is kept apart, and read only by those for whom that place is the lasting one.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Literal

from redis.asyncio import Redis

from store.session_ends import SessionEnd, channel_of, encode_ends
from store.timelines import Unknown, redis_or_unknown
from store.together import Together

Source = Literal["primary", "archive"]

KEPT_ENDED = 24 * 3600  # seconds: longer than any access token lives
# Seconds. A Redis that loses its last second can lose an end and keep this, so it is less than RING_SECONDS: until then the nodes
# know the end from the log.
_ALIVE_KEPT = 300
_AT_ONCE = 500  # sessions in one command or transaction, so that Redis is never busy for long
ALIVE_OF_ALL = "session:alive:*"  # what can be asked for again; an end cannot, as long as its event waits for Kafka


class Sessions:
    """Never raises because Redis is gone, where it does not say so; it just knows nothing then.

    `source` is the lasting place that the caller asks when Redis does not know: the API the primary, a node the archive.
    """

    def __init__(self, redis: "Redis", source: Source = "archive") -> None:
        self._redis, self._source = redis, source
        self._keep_alive = Together(self._keep_all_alive)

    async def mark_ended(self, sid: str, until: int) -> None:
        """Says that the session is over, until its last token has expired by itself (seconds since 1970)."""
        await self._mark([f"session:{sid}"], until, [sid])

    async def mark_all_ended(self, uid: int, until: int) -> None:
        """Says that every session of the user is over, likewise: the account is gone."""
        await self._mark([f"session:user:{uid}"], until, [])

    async def tell_ended(self, ends: Collection[SessionEnd], until: int) -> None:
        """Marks them likewise, and tells every node that listens, in one transaction; at most 500 at once."""
        assert len(ends) <= _AT_ONCE
        keys = [f"session:{end.sid}" if end.sid else f"session:user:{end.uid}" for end in ends]
        await self._mark(keys, until, [end.sid for end in ends if end.sid], encode_ends(ends))

    async def is_ended(self, uid: int, sid: str) -> bool | None:
        """None: Redis is gone or has not heard of it. Ask the lasting place then, and `remember` what it said."""
        try:
            with redis_or_unknown():
                return ended_by(await self._redis.mget(keys_of(uid, sid, self._source)))
        except Unknown:
            return None

    async def ended_among(self, sessions: Iterable[tuple[int, str]]) -> list[SessionEnd]:
        """Those of the sessions that are marked as ended. Raises Unknown when Redis cannot say."""
        asked, found = list(sessions), []
        for first in range(0, len(asked), _AT_ONCE):
            some = asked[first : first + _AT_ONCE]
            with redis_or_unknown():
                marks = await self._redis.mget([key for session in some for key in keys_of(*session)])
            pairs = zip(marks[::2], marks[1::2], strict=True)
            found += [SessionEnd(*session) for session, pair in zip(some, pairs, strict=True) if ended_by(pair)]
        return found

    async def remember(self, sid: str, ended: bool, until: int) -> None:
        """Keeps what the lasting place said. That it lives never hides an end that comes, or came meanwhile."""
        if ended:
            await self.mark_ended(sid, until)
        else:
            await self._keep_alive(sid)

    async def _keep_all_alive(self, sids: Sequence[str]) -> Sequence[None]:
        with suppress(Unknown), redis_or_unknown():
            async with self._redis.pipeline(transaction=False) as pipe:
                for sid in sids:
                    pipe.set(_alive(self._source, sid), b"", ex=_ALIVE_KEPT)
                await pipe.execute()
        return [None] * len(sids)

    async def _mark(self, keys: Iterable[str], until: int, sids: Iterable[str], message: bytes | None = None) -> None:
        """An end takes with it that the session lives: Redis, short of memory, may drop the one and keep the other."""
        seconds = max(1, until - int(time.time()))
        with suppress(Unknown), redis_or_unknown():
            async with self._redis.pipeline(transaction=True) as pipe:
                for key in keys:
                    pipe.set(key, b"ended", ex=seconds)
                for sid in sids:
                    pipe.delete(_alive("primary", sid), _alive("archive", sid))
                if message is not None:
                    pipe.publish(channel_of(self._redis), message)
                await pipe.execute()


def keys_of(uid: int, sid: str, source: Source | None = None) -> list[str]:
    """What is to be read at once of a session: the marks of its end and, for who asks that place, whether it lived."""
    marks = [f"session:{sid}", f"session:user:{uid}"]
    return marks if source is None else [*marks, _alive(source, sid)]


def ended_by(values: Sequence[object]) -> bool | None:
    """What the values of `keys_of` say: the session has ended, lives, or nothing."""
    session, everyone, *alive = values
    if session == b"ended" or everyone is not None:
        return True
    return False if alive and alive[0] is not None else None


def _alive(source: Source, sid: str) -> str:
    return f"session:alive:{source}:{sid}"
