"""The teller: how the storekeeper changes the timelines. What Redis misses while it is gone shows in what it was told last."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import uuid4

from redis.asyncio import Redis

from store.events import Arrival
from store.logbook import Turn
from store.sessions import ALIVE_OF_ALL
from store.timelines import FEED_LENGTH, feed_member, redis_or_unknown
from store.timelines_scripts import CLAIM, PUSH, TOLD, WARM

log = logging.getLogger(__name__)

_AT_ONCE = 500  # readers, keys: what one command takes, so that Redis is never busy for long
_FOLLOWERS_UNKNOWN = -2  # of PUSH
# What a list is made from comes before it. A feed is filled from `following`, and kept up for those who are in `followers`.
_ORDER = ("following", "followers", "feed")


class Teller:
    """One process's hand on the timelines. Its methods raise Unknown when Redis cannot be told."""

    def __init__(self, redis: "Redis", epoch: str, partitions: int) -> None:
        self._redis, self._epoch, self._partitions, self._mark = redis, epoch, partitions, uuid4().hex
        self._claim, self._told = redis.register_script(CLAIM), redis.register_script(TOLD)
        self._push, self._find_warm = redis.register_script(PUSH), redis.register_script(WARM)

    async def claim(self, turns: Mapping[int, Turn], sure: Collection[int] = ()) -> dict[int, int]:
        """Says that these partitions are ours; up to where the lists have been told of each, without those that are not ours
        by what Redis knows. `sure` are those that the logbook says are ours whatever Redis says.

        Where the lists have missed something of a partition, all are of an old generation from now on.
        """
        words: list[str | int] = []
        for partition, turn in turns.items():
            words += [partition, turn.next, turn.number, int(partition in sure)]
        with redis_or_unknown():
            answer = await self._claim([], [self._epoch, self._partitions, uuid4().hex[:8], self._mark, *words])
            if answer[0]:
                log.warning("the timelines have missed something: all are made anew")
                await self._forget_who_lives()
        return {partition: at for partition, at in zip(turns, answer[1:], strict=True) if at >= 0}

    async def push(
        self, arrivals: Collection[Arrival], readers: Mapping[int, list[int]], turns: Mapping[int, Turn]
    ) -> set[int]:
        """Adds each event to the feeds of its author's readers that are warm, and still followers when it is added.

        Who is warm is asked once for all events: a list that is filled after that was read from an archive that has them. Answers
        the authors whose followers have changed since they were read: theirs are to be pushed again.
        """
        authors: list[int] = []
        warm = await self._warm(sorted({reader for arrival in arrivals for reader in readers[arrival.actor]}))
        with redis_or_unknown():
            async with self._redis.pipeline(transaction=False) as pipe:
                for arrival in arrivals:
                    to = [reader for reader in readers[arrival.actor] if reader in warm]
                    turn = self._turn(turns[arrival.partition])
                    told: list[str | int | bytes] = [
                        arrival.partition,
                        turn,
                        FEED_LENGTH,
                        feed_member(arrival.id, arrival.value),
                        arrival.actor,
                    ]
                    for start in range(0, len(to), _AT_ONCE):
                        await self._push([], [*told, *to[start : start + _AT_ONCE]], client=pipe)
                        authors.append(arrival.actor)
                answers = await pipe.execute()
        return {author for author, answer in zip(authors, answers, strict=True) if answer == _FOLLOWERS_UNKNOWN}

    async def mark_large(self, authors: Collection[int]) -> None:
        """Says that these have more than MOST_FOLLOWERS, so that their events are read when a feed is read."""
        if authors:
            with redis_or_unknown():
                await self._redis.sadd("large", *authors)

    async def forget(self, keys: Iterable[str]) -> None:
        """Drops these lists, and voids every fill of them that is under way; a list never before what it is made from.

        So who fills a list between two of the commands, and keeps it, has made it from lists that are not to be dropped.
        """
        ordered = sorted(keys, key=lambda key: _ORDER.index(key.partition(":")[0]))
        every = [name for key in ordered for name in (key, f"lease:{key}")]
        with redis_or_unknown():
            for start in range(0, len(every), _AT_ONCE):
                await self._redis.unlink(*every[start : start + _AT_ONCE])

    async def told(self, spans: Mapping[int, tuple[int, int]], turns: Mapping[int, Turn]) -> None:
        """Says that the lists have been told all of these. Without effect if Redis has lost something meanwhile."""
        words: list[str | int] = []
        for partition, (start, end) in spans.items():
            words += [partition, self._turn(turns[partition]), start, end]
        if words:
            with redis_or_unknown():
                await self._told([], words)

    async def _warm(self, readers: Sequence[int]) -> set[int]:
        """Those whose feeds are there. Fills that are under way are void: they may have been read before the events were kept."""
        with redis_or_unknown():
            async with self._redis.pipeline(transaction=False) as pipe:
                for start in range(0, len(readers), _AT_ONCE):
                    await self._find_warm([], readers[start : start + _AT_ONCE], client=pipe)
                answers = await pipe.execute()
        return {int(reader) for found in answers for reader in found}

    async def _forget_who_lives(self) -> None:
        """Among what was missed may be the end of a session. The marks of ends stay: nobody else may know them yet."""
        async for key in self._redis.scan_iter(ALIVE_OF_ALL, count=1000):
            await self._redis.unlink(key)

    def _turn(self, turn: Turn) -> str:
        return f"{turn.number} {self._mark}"
