"""The archive: every event for ever, who follows whom, and how far the storekeeper has come. MongoDB, through motor, here only."""

import heapq
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import ASCENDING, DESCENDING, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError, PyMongoError

from store.archive_writes import Write, writes_of_events, writes_of_follows
from store.cursor import Cursor
from store.events import Arrival, EventType, FollowChange
from store.settings import Settings

_TIMEOUT_MS = 5000
_AUTHORS_A_QUERY = 200  # beyond this MongoDB's merge of index scans becomes dearer than our own
_DUPLICATE_KEY = 11000
_TOPIC = "topic"


class ArchiveUnavailable(Exception):
    """MongoDB did not answer, or refused; whether a write took effect is unknown."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An archived event and where in the log it stands."""

    id: str
    partition: int
    offset: int
    type: str
    value: bytes


@asynccontextmanager
async def open_archive(settings: Settings) -> AsyncIterator["Archive"]:
    """The archive; does not wait for MongoDB to be there. Every call is bounded by 5 s."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        settings.mongo_url,
        serverSelectionTimeoutMS=_TIMEOUT_MS,
        connectTimeoutMS=_TIMEOUT_MS,
        socketTimeoutMS=_TIMEOUT_MS,
        maxPoolSize=32,
        waitQueueTimeoutMS=_TIMEOUT_MS,
    )
    try:
        yield Archive(client.get_database(settings.mongo_database, write_concern=WriteConcern("majority", j=True)))
    finally:
        client.close()


class Archive:
    """All its methods raise ArchiveUnavailable when MongoDB fails them; every write may be repeated."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        self._events, self._follows = database.events, database.follows
        self._progress, self._ended = database.progress, database.ended

    async def ensure_indexes(self) -> None:
        """Makes the indexes that the queries below stand on."""
        with _mongo():
            await self._events.create_index([("actor", ASCENDING), ("_id", DESCENDING)])
            await self._events.create_index([("actor", ASCENDING), ("part", ASCENDING), ("off", ASCENDING)])
            await self._events.create_index([("post", ASCENDING)], sparse=True)
            await self._follows.create_index([("follower", ASCENDING)])
            await self._follows.create_index([("followee", ASCENDING), ("_id", ASCENDING)])
            await self._ended.create_index([("until", ASCENDING)], expireAfterSeconds=0)

    async def add(self, arrivals: Sequence[Arrival]) -> None:
        """Keeps the events, each once by its id, whatever was added before; a deleted post's event is taken out."""
        await self._write(self._events, writes_of_events(arrivals))

    async def change_follows(self, changes: Iterable[FollowChange]) -> None:
        """Applies the changes; for each pair the highest `seq` wins, in whatever order they come."""
        await self._write(self._follows, writes_of_follows(changes))

    async def end_sessions(self, until: Mapping[str, datetime]) -> None:
        """Remembers that these sessions have ended, each until its tokens have expired by themselves."""
        await self._write(
            self._ended, [UpdateOne({"_id": sid}, {"$set": {"until": end}}, upsert=True) for sid, end in until.items()]
        )

    async def is_ended(self, sid: str) -> bool:
        """Whether the session's logout has reached the archive."""
        with _mongo():
            return await self._ended.find_one({"_id": sid}) is not None

    async def begin_topic(self, epoch: str, partitions: int) -> None:
        """Says which topic progress is about from now on."""
        with _mongo():
            await self._progress.update_one(
                {"_id": _TOPIC}, {"$set": {"epoch": epoch, "partitions": partitions}}, upsert=True
            )

    async def record_progress(self, epoch: str, offsets: Mapping[int, int]) -> None:
        """Everything below these offsets is in the archive. Never goes back."""
        await self._write(
            self._progress,
            [UpdateOne({"_id": f"{epoch}:{p}"}, {"$max": {"off": off}}, upsert=True) for p, off in offsets.items()],
        )

    async def progress(self) -> Cursor | None:
        """The cursor up to which the archive is complete; None before a storekeeper has ever run."""
        with _mongo():
            topic = await self._progress.find_one({"_id": _TOPIC})
            if topic is None:
                return None
            names = [f"{topic['epoch']}:{p}" for p in range(topic["partitions"])]
            found = {row["_id"]: row["off"] async for row in self._progress.find({"_id": {"$in": names}})}
        return Cursor(topic["epoch"], tuple(found.get(name, 0) for name in names))

    async def following(self, uid: int) -> dict[int, int]:
        """Whom the user follows, each with the `seq` of that follow."""
        with _mongo():
            return {row["followee"]: row["seq"] async for row in self._follows.find({"follower": uid, "on": True})}

    async def followers(self, uid: int, limit: int) -> list[int]:
        """At most `limit` of the user's followers."""
        with _mongo():
            rows = self._follows.find({"followee": uid, "on": True}, {"follower": 1}).limit(limit)
            return [row["follower"] async for row in rows]

    async def newest(self, authors: Iterable[int], before: str | None, limit: int) -> list[Kept]:
        """The authors' newest events with ids below `before`, newest first; a deletion is not one of them."""
        older = {"_id": {"$lt": before}} if before is not None else {}
        found: list[list[Kept]] = []
        for some in _slices(authors):
            wanted = {"actor": {"$in": some}, "type": {"$ne": str(EventType.POST_DELETED)}, **older}
            with _mongo():
                rows = await self._events.find(wanted).sort("_id", DESCENDING).limit(limit).to_list(limit)
            found.append([_kept(row) for row in rows])
        return _newest_of(found, limit)

    async def between(self, authors: Iterable[int], partition: int, start: int, end: int, limit: int) -> list[Kept]:
        """The authors' first `limit` events of the partition with start <= offset < end, in the log's order."""
        found: list[Kept] = []
        for some in _slices(authors):
            wanted = {"actor": {"$in": some}, "part": partition, "off": {"$gte": start, "$lt": end}}
            with _mongo():
                rows = await self._events.find(wanted).sort("off", ASCENDING).limit(limit).to_list(limit)
            found += [_kept(row) for row in rows]
        return sorted(found, key=lambda kept: kept.offset)[:limit]

    async def _write(self, collection: Any, writes: Sequence[Write]) -> None:
        """Carries out the writes in order. A duplicate key only says that a write of the same _id, as new or newer, is there."""
        rest = list(writes)
        while rest:
            with _mongo():
                try:
                    await collection.bulk_write(rest, ordered=True)
                    return
                except BulkWriteError as error:
                    failed = error.details["writeErrors"]
                    if not failed or failed[0]["code"] != _DUPLICATE_KEY:
                        raise
                    rest = rest[failed[0]["index"] + 1 :]


def _newest_of(found: list[list[Kept]], limit: int) -> list[Kept]:
    """The first `limit` of lists that are each sorted newest first."""
    merged = heapq.merge(*found, key=lambda kept: kept.id, reverse=True)
    return [kept for kept, _ in zip(merged, range(limit), strict=False)]


def _slices(authors: Iterable[int]) -> Iterable[list[int]]:
    every = sorted(authors)
    return (every[i : i + _AUTHORS_A_QUERY] for i in range(0, len(every), _AUTHORS_A_QUERY))


def _kept(row: Mapping[str, Any]) -> Kept:
    return Kept(row["_id"], row["part"], row["off"], row["type"], row["body"].encode())


@contextmanager
def _mongo() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise ArchiveUnavailable(f"MongoDB: {error!s:.300}") from error
