"""What is recent and warm, in Redis: nothing here that could not be made again from the archive.

A list is filled by whoever misses it, under a lease: the reader leaves a token before it reads the archive, and the fill counts
only if the token is still there. Whoever changes the archive drops the token, so an old answer never overwrites a newer one.

Redis says itself up to where in the log its lists have been told, and a reader takes nothing that was told less than it needs:
lists that missed something, because Redis was away or came back from an old dump, are not believed, and nobody's clock is asked.
The storekeeper sees the same and begins a new generation of lists.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from store.as_of import AsOf
from store.breaker import Breaker
from store.cursor import Cursor
from store.settings import Settings
from store.timelines_scripts import FILL, LEASE, WROTE

_TIMEOUT = 1.0
_LEASE = 30  # seconds; longer than any reading of the archive
_KEPT = 24 * 3600  # seconds: people who were here in the last day are warm
_WROTE = 10  # seconds for which a user's reads ask for their last write
FEED_LENGTH = 100
MOST_FOLLOWERS = 10_000  # an author with more is not copied into feeds, but read when a feed is read


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
    """Followees, followers and feeds of people who were here lately. Its methods raise Unknown when Redis cannot serve them.

    What it answers is as of what the timelines had been told, in the log, before it was read.
    """

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._lease, self._fill = redis.register_script(LEASE), redis.register_script(FILL)

    async def lease(self, key: str) -> str:
        """A token to fill `key` with; take it before reading the archive. Raises Unknown too if there is nobody to keep it true."""
        with redis_or_unknown():
            token: bytes | None = await self._lease([f"lease:{key}"], [uuid4().hex, _LEASE])
        if token is None:
            raise Unknown("no storekeeper has claimed the timelines")
        return token.decode()

    async def fill(self, key: str, token: str, members: Iterable[bytes]) -> None:
        """Fills `key`, unless something it stands for has changed since the lease, or another reader was later."""
        with redis_or_unknown():
            await self._fill([key, f"lease:{key}"], [token, _KEPT, *members])

    async def told(self) -> Cursor | None:
        """How far in the log the timelines have been told; None if nobody has told them."""
        with redis_or_unknown():
            state: Any = await self._redis.hgetall("timelines")
        return told_of(state)

    async def following(self, uid: int) -> AsOf[dict[int, int], Cursor]:
        """Whom the user follows, with `seq`. Raises Unknown if that is not warm."""
        told, [members] = await self._lists([f"following:{uid}"])
        pairs = (member.split(b":") for member in _known(members))
        return AsOf({int(followee): int(seq) for followee, seq in pairs}, told, "Redis")

    async def followers(self, uids: Sequence[int]) -> AsOf[dict[int, list[int]], Cursor]:
        """Who follows each of these users that are warm; of each at most MOST_FOLLOWERS + 1."""
        told, lists = await self._lists([f"followers:{uid}" for uid in uids])
        warm = {uid: list(map(int, members)) for uid, members in zip(uids, lists, strict=True) if members is not None}
        return AsOf(warm, told, "Redis")

    async def feed(self, uid: int) -> AsOf[list[tuple[str, bytes]], Cursor]:
        """Ids and bodies of the user's newest events, newest first, at most FEED_LENGTH. Raises Unknown if that is not warm."""
        told, [members] = await self._lists([f"feed:{uid}"])
        return AsOf([(member[:36].decode(), member[37:]) for member in reversed(_known(members))], told, "Redis")

    async def large(self, authors: list[int]) -> list[int]:
        """Those of the authors whose events are to be read when a feed is read."""
        with redis_or_unknown():
            flags = await self._redis.smismember("large", authors)
        return [author for author, flag in zip(authors, flags, strict=True) if flag]

    async def warm(self) -> set[int]:
        """The people whose lists are here, fresh or not."""
        with redis_or_unknown():
            return {int(key.split(b":")[1]) async for key in self._redis.scan_iter("f*:[0-9]*", count=1000)}

    async def renew(self) -> None:
        """Makes every list that is here unknown: a new generation."""
        with redis_or_unknown():
            if await self._redis.exists("timelines"):
                await self._redis.hset("timelines", "generation", uuid4().hex[:8])

    async def _lists(self, keys: Sequence[str]) -> tuple[Cursor | None, list[list[bytes] | None]]:
        """What the timelines were told, and then the members of the lists that are warm, in one round trip."""
        with redis_or_unknown():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hgetall("timelines")
                for key in keys:
                    pipe.zrange(key, 0, -1)
                state, *lists = await pipe.execute()
        start = b" " + state[b"generation"] if b"generation" in state else None
        return told_of(state), [members[1:] if members and members[0] == start else None for members in lists]


def told_of(state: Mapping[bytes, bytes]) -> Cursor | None:
    """How far the lists have been told, by the hash `timelines`; None if that is not known of every partition."""
    offsets = [state.get(b"%d" % partition) for partition in range(int(state.get(b"partitions", 0)))]
    known = tuple(int(offset) for offset in offsets if offset is not None)
    return Cursor(state[b"epoch"].decode(), known) if known and len(known) == len(offsets) else None


def _known(members: list[bytes] | None) -> list[bytes]:
    if members is None:
        raise Unknown("not warm")
    return members


class Wrote:
    """The last write of users who have just written, as a GTID, so that they read it on whatever replica."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._mark = redis.register_script(WROTE)

    async def mark(self, uid: int, order: str, gtid: str) -> None:
        """Remembers it for 10 s, unless a later one is known: `order` is greater for each later write of the user.

        Two processes come here in any order. GTIDs could be compared too, but MySQL's and MariaDB's each in its own way.
        Raises Unknown if Redis is gone.
        """
        with redis_or_unknown():
            await self._mark([f"wrote:{uid}"], [order, gtid, _WROTE])

    async def last(self, uid: int) -> str | None:
        """The user's last write, None if it is over 10 s ago. Raises Unknown if Redis is gone: read the primary then."""
        with redis_or_unknown():
            gtid: Any = await self._redis.hget(f"wrote:{uid}", "gtid")
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
