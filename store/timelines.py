"""What is recent and warm, in Redis: nothing here that could not be made again from the archive.

A key is filled by whoever misses it, under a lease: the reader leaves a token before it reads the archive, and the fill counts only
if the token is still there. Whoever changes the archive drops the token, so an old answer never overwrites a newer one.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from store.breaker import Breaker
from store.settings import Settings

_TIMEOUT = 1.0
_LEASE = 30  # seconds; longer than any reading of the archive
_KEPT = 24 * 3600  # seconds: people who were here in the last day are warm
_WROTE = 10  # seconds for which a user's reads ask for their last write
FEED_LENGTH = 100
MOST_FOLLOWERS = 10_000  # an author with more is not copied into feeds, but read when a feed is read

# KEYS: the list, its lease. ARGV: token, seconds to keep, then members. Fills the list if nothing has changed meanwhile.
_FILL = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
for i = 3, #ARGV, 100 do
  local part = {}
  for j = i, math.min(i + 99, #ARGV) do part[#part + 1] = 0; part[#part + 1] = ARGV[j] end
  redis.call('ZADD', KEYS[1], unpack(part))
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""
# KEYS: the list, its lease. ARGV: longest length, a member. Adds to a list that is there; a fill that is under way is void.
_PUSH = """
redis.call('DEL', KEYS[2])
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[1], 0, ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[1] - 1)
return 1
"""
_START = " "  # below every member, so that an empty list differs from a missing one


class Unknown(Exception):
    """Redis is gone or does not know: ask the lasting place."""


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator["Redis"]:
    """A client whose every call is bounded by about 1 s; Redis need not be there yet. While it hangs most calls fail at once."""
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=32,
        timeout=_TIMEOUT,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=Breaker(),
    )
    client = Redis(connection_pool=pool)
    try:
        yield client
    finally:
        await client.aclose()
        await pool.disconnect()


class Timelines:
    """Followees, followers and feeds of people who were here lately. Its methods raise Unknown when Redis cannot serve them."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._fill, self._push = redis.register_script(_FILL), redis.register_script(_PUSH)

    async def lease(self, key: str) -> str:
        """A token to fill `key` with; take it before reading the archive."""
        token = uuid4().hex
        with redis_or_unknown():
            await self._redis.set(f"lease:{key}", token, ex=_LEASE)
        return token

    async def fill(self, key: str, token: str, members: Iterable[bytes]) -> None:
        """Fills `key`, unless something it stands for has changed since the lease, or another reader was later."""
        with redis_or_unknown():
            await self._fill([key, f"lease:{key}"], [token, _KEPT, _START, *members])

    async def following(self, uid: int) -> dict[int, int]:
        """Whom the user follows, with `seq`. Raises Unknown if that is not warm."""
        members = await self._members(f"following:{uid}", "ZRANGEBYLEX")
        return {int(followee): int(seq) for followee, seq in (member.split(b":") for member in members)}

    async def followers(self, uid: int) -> list[int]:
        """Who follows the user; at most MOST_FOLLOWERS + 1 of them. Raises Unknown if that is not warm."""
        return [int(member) for member in await self._members(f"followers:{uid}", "ZRANGEBYLEX")]

    async def feed(self, uid: int) -> list[tuple[str, bytes]]:
        """Ids and bodies of the user's newest events, newest first, at most FEED_LENGTH. Raises Unknown if that is not warm."""
        return [(member[:36].decode(), member[37:]) for member in await self._members(f"feed:{uid}", "ZREVRANGEBYLEX")]

    async def mark_large(self, author: int) -> None:
        """Says that the author has more than MOST_FOLLOWERS, so that their events are in no feed here."""
        with redis_or_unknown():
            await self._redis.sadd("large", author)

    async def large(self, authors: list[int]) -> list[int]:
        """Those of the authors whose events are to be read when a feed is read."""
        with redis_or_unknown():
            flags = await self._redis.smismember("large", authors)
        return [author for author, flag in zip(authors, flags, strict=True) if flag]

    async def push(self, followers: Mapping[str, Iterable[int]], bodies: Mapping[str, bytes]) -> None:
        """Adds each event, by its id, to the feeds of its readers that are warm."""
        with redis_or_unknown():
            async with self._redis.pipeline(transaction=False) as pipe:
                for event_id, readers in followers.items():
                    for reader in readers:
                        key = f"feed:{reader}"
                        await self._push(
                            [key, f"lease:{key}"],
                            [FEED_LENGTH, feed_member(event_id, bodies[event_id])],
                            client=pipe,
                        )
                await pipe.execute()

    async def forget(self, keys: Iterable[str]) -> None:
        """Drops these keys, and voids every fill of them that is under way."""
        every = [name for key in keys for name in (key, f"lease:{key}")]
        with redis_or_unknown():
            for start in range(0, len(every), 500):
                await self._redis.unlink(*every[start : start + 500])

    async def forget_all(self) -> None:
        """Drops everything that can be made again: after an outage in which changes were missed."""
        with redis_or_unknown():
            for pattern in ("lease:*", "following:*", "followers:*", "feed:*", "session:*"):
                async for key in self._redis.scan_iter(pattern, count=1000):
                    await self._redis.unlink(key)

    async def _members(self, key: str, command: str) -> list[bytes]:
        low, high = (b"-", b"+") if command == "ZRANGEBYLEX" else (b"+", b"-")
        with redis_or_unknown():
            members: list[bytes] = await self._redis.execute_command(command, key, low, high)  # type: ignore[no-untyped-call]
        if not members:
            raise Unknown(key)
        return [member for member in members if member != _START.encode()]


class Wrote:
    """The last write of users who have just written, as a GTID, so that they read it on whatever replica."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def mark(self, uid: int, gtid: str) -> None:
        """Remembers it for 10 s. Raises Unknown if Redis is gone."""
        with redis_or_unknown():
            await self._redis.set(f"wrote:{uid}", gtid, ex=_WROTE)

    async def last(self, uid: int) -> str | None:
        """The user's last write, None if it is over 10 s ago. Raises Unknown if Redis is gone: read the primary then."""
        with redis_or_unknown():
            gtid: Any = await self._redis.get(f"wrote:{uid}")
        return gtid.decode() if gtid else None


def feed_member(event_id: str, body: bytes) -> bytes:
    """An event as a member of a feed: ids sort by time and are 36 characters long."""
    return event_id.encode() + b" " + body


@contextmanager
def redis_or_unknown() -> Iterator[None]:
    """Turns every failure of Redis into Unknown."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Unknown(f"Redis: {error!r:.200}") from error
