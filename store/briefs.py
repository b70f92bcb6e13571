"""Briefs: what Redis knows of somebody who comes, in one round trip for all who come at the same time."""

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from redis.asyncio import Redis

from store.as_of import AsOf
from store.cursor import Cursor
from store.follows import Follows
from store.sessions import ended_by, keys_of
from store.timelines import Unknown, redis_or_unknown, told_of
from store.together import Together

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Brief:
    """None for what was not asked, or what Redis does not know. `feed` is newest first.

    `following` and `feed` are as of what Redis had been told, but for what the `large` do, which is in no feed.
    """

    is_reachable: bool = True
    ended: bool | None = None
    following: AsOf[Follows, Cursor] | None = None
    feed: AsOf[list[tuple[str, bytes]], Cursor] | None = None
    large: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Question:
    uid: int
    sid: str
    following: bool
    feed: int


class Briefs:
    """Never raises because Redis is gone; it just knows nothing then."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._together = Together(self._read)

    async def brief(self, uid: int, sid: str, *, following: bool, feed: int) -> Brief:
        """Whether the session has ended and, as far as asked for, whom the user follows and the newest `feed` events."""
        return await self._together(_Question(uid, sid, following, feed))

    async def _read(self, questions: Sequence[_Question]) -> list[Brief]:
        sessions = [key for asked in questions for key in keys_of(asked.uid, asked.sid, "archive")]
        try:
            with redis_or_unknown():
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.mget(sessions)
                    # Before the lists: what they have been told is never less than this says.
                    pipe.hgetall("timelines")
                    pipe.smembers("large")
                    for asked in questions:
                        if asked.following:
                            pipe.zrange(f"following:{asked.uid}", 0, -1)
                        if asked.feed:
                            # All of it, in one command: its last member says whose generation the others are.
                            pipe.zrevrange(f"feed:{asked.uid}", 0, -1)
                    ended, state, large, *lists = await pipe.execute()
        except Unknown:
            return [Brief(is_reachable=False)] * len(questions)
        told, start, authors = (
            told_of(state),
            b" " + state.get(b"generation", b"is unknown"),
            frozenset(map(int, large)),
        )
        states, replies = zip(*[iter(ended)] * 3, strict=True), iter(lists)
        return [
            Brief(
                True,
                ended_by(next(states)),
                _as_of(_following(next(replies), start) if asked.following else None, told),
                _as_of(_feed(next(replies), start, asked.feed) if asked.feed else None, told),
                authors,
            )
            for asked in questions
        ]


def _as_of(list_of: T | None, told: Cursor | None) -> AsOf[T, Cursor] | None:
    return None if list_of is None else AsOf(list_of, told, "Redis")


def _following(members: list[bytes], start: bytes) -> Follows | None:
    if not members or members[0] != start:
        return None
    # "followee:seq" each; read as one JSON array, which takes a third of the time of `int` on each.
    numbers = array("q", json.loads(b"[" + b",".join(members[1:]).replace(b":", b",") + b"]"))
    return Follows.of(numbers[::2], numbers[1::2])


def _feed(members: list[bytes], start: bytes, limit: int) -> list[tuple[str, bytes]] | None:
    if not members or members[-1] != start:
        return None
    return [(member[:36].decode(), member[37:]) for member in members[:-1][:limit]]
