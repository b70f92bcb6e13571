"""The archive: every event for ever, who follows whom, and how far the storekeeper has come. MongoDB, here only."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar

from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, UpdateOne, WriteConcern, timeout
from pymongo.asynchronous.database import AsyncDatabase

from store.archive_bulk import carry_out, insert_new
from store.archive_errors import ArchiveUnavailable, mongo_or_unavailable
from store.archive_reads import Kept, kept, slices
from store.archive_writes import (
    INDEXES,
    documents_of,
    gone_until,
    user_name,
    writes_of_deletions,
    writes_of_departed_events,
    writes_of_departed_follows,
    writes_of_follows,
)
from store.cursor import Cursor
from store.events import TAKES_BACK, Arrival, EventType, FollowChange, first_id
from store.logbook import Logbook, State
from store.settings import Settings
from store.together import Together

__all__ = ["Archive", "ArchiveUnavailable", "Kept", "open_archive"]

T = TypeVar("T")

_TIMEOUT_MS = 5000
# For all of a reading, which may be many calls: shorter than the lease under which the answer is kept (store/timelines.py).
_READING = 20.0
_INDEXING = 3600  # seconds: an index of an archive that is large already takes its time


@asynccontextmanager
async def open_archive(settings: Settings) -> AsyncIterator["Archive"]:
    """The archive; does not wait for MongoDB to be there. Every call is bounded by 5 s, with the driver's own second tries."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.mongo_url,
        timeoutMS=_TIMEOUT_MS,  # for all of a call: finding a server, waiting for a connection, trying again
        connectTimeoutMS=_TIMEOUT_MS,
        maxPoolSize=32,
    )
    try:
        yield Archive(client.get_database(settings.mongo_database, write_concern=WriteConcern("majority", j=True)))
    finally:
        await client.close()


class Archive:
    """All its methods raise ArchiveUnavailable when MongoDB fails them; every write may be repeated.

    What is said to be *whole* is never answered from an archive that is being made anew: that is ArchiveUnavailable too.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._events, self._follows, self._ended = database.events, database.follows, database.ended
        self._logbook = Logbook(database.progress)
        self._is_ended = Together(self._are_ended)

    async def ensure_indexes(self) -> None:
        """Makes the indexes that the queries below stand on."""
        with mongo_or_unavailable(), timeout(_INDEXING):
            for name, keys, options in INDEXES:
                await self._database[name].create_index(keys, **options)

    async def note_highest(self) -> None:
        """Notes the highest numbers of an archive that a version has filled which did not keep them."""
        state = await self.log(lambda logbook: logbook.state())
        if state is None or state.highest is not None:
            return
        with mongo_or_unavailable(), timeout(_INDEXING):
            newest = await self._events.find_one({"actor": {"$gte": 1}}, sort=[("_id", DESCENDING)])
            actor = await self._events.find_one({"actor": {"$gte": 1}}, sort=[("actor", DESCENDING)])
            post = await self._events.find_one({"post": {"$gte": 1}}, sort=[("post", DESCENDING)])
        if newest is not None and actor is not None:
            found = {"actor": actor["actor"], "event": f"{newest['_id']} {newest['actor']}"}
            found |= {"post": post["post"]} if post is not None else {}
            await self.log(lambda logbook: logbook.note_highest(found))

    async def add(self, epoch: str, arrivals: Sequence[Arrival]) -> None:
        """Keeps the events of the topic, each once by its id, whatever was added before; a deleted post's event is taken out.

        Of an account that has ended nothing stays but the event that says so, however late another member comes with the rest.
        """
        documents = documents_of(epoch, arrivals)
        await insert_new(self._events, documents)
        await carry_out(self._events, writes_of_deletions(documents))
        gone = await self._gone(arrival.actor for arrival in arrivals)
        await carry_out(self._events, writes_of_departed_events(gone))

    async def change_follows(self, changes: Iterable[FollowChange]) -> None:
        """Applies the changes; for each pair the highest `seq` wins, in whatever order they come."""
        known = list(changes)
        await carry_out(self._follows, writes_of_follows(known))
        # Partitions have no order between them: a follow may come behind the end of the followee's account.
        gone = await self._gone(uid for change in known for uid in (change.follower, change.followee))
        await carry_out(self._follows, writes_of_departed_follows(gone))

    async def end_accounts(self, uids: Iterable[int]) -> None:
        """Ends every session of these people and takes out their follows; their events go with the `add` that comes after it."""
        departed = list(uids)
        await self.end_sessions({user_name(uid): gone_until() for uid in departed})
        await carry_out(self._follows, writes_of_departed_follows(departed))

    async def end_sessions(self, until: Mapping[str, datetime]) -> None:
        """Remembers that these sessions have ended, each until its tokens have expired by themselves."""
        await carry_out(
            self._ended, [UpdateOne({"_id": sid}, {"$set": {"until": end}}, upsert=True) for sid, end in until.items()]
        )

    async def is_ended(self, uid: int, sid: str) -> bool:
        """Whether the end of the user's session, or of all of them, has reached the archive, which is whole."""
        return await self._is_ended((sid, user_name(uid)))

    async def log(self, step: Callable[[Logbook], Awaitable[T]]) -> T:
        """What the step does with the logbook."""
        with mongo_or_unavailable():
            return await step(self._logbook)

    async def empty(self) -> None:
        """Takes all events and follows out. Sessions and accounts that have ended stay so."""
        with mongo_or_unavailable():
            await self._events.drop()
            await self._follows.drop()
        await self.ensure_indexes()

    async def progress(self) -> Cursor:
        """The cursor up to which the archive is complete and whole."""
        return (await self._whole()).cursor

    async def following(self, uid: int) -> dict[int, int]:
        """Whom the user follows, each with the `seq` of that follow, out of a whole archive."""
        with mongo_or_unavailable():
            found = {row["followee"]: row["seq"] async for row in self._follows.find({"follower": uid, "on": True})}
        await self._whole()
        return found

    async def follows_after(self, pair: str, limit: int) -> list[tuple[str, FollowChange]]:
        """The first `limit` pairs, on or off, after this one, each with its name and the last change of it."""
        with mongo_or_unavailable():
            rows = await self._follows.find({"_id": {"$gt": pair}}).sort("_id", ASCENDING).limit(limit).to_list(limit)
        return [(row["_id"], FollowChange(row["follower"], row["followee"], row["seq"], row["on"])) for row in rows]

    async def departed_after(self, name: str, limit: int) -> list[tuple[str, int]]:
        """The first `limit` people after this name, each with theirs, whose accounts have ended in the last 30 days."""
        first = user_name("")
        with mongo_or_unavailable():
            named = {"_id": {"$gt": max(name, first), "$lt": first + "~"}}
            rows = await self._ended.find(named).sort("_id", ASCENDING).limit(limit).to_list(limit)
        return [(row["_id"], int(row["_id"].removeprefix(first))) for row in rows]

    async def followers(self, uid: int, limit: int) -> list[int]:
        """At most `limit` of the user's followers."""
        with mongo_or_unavailable():
            rows = self._follows.find({"followee": uid, "on": True}, {"follower": 1}).limit(limit)
            return [row["follower"] async for row in rows]

    async def newest(self, authors: Iterable[int], before: str | None, limit: int) -> list[Kept]:
        """The authors' newest events with ids below `before`, newest first; the archive is whole. Without what takes back."""
        found: list[Kept] = []
        until = monotonic() + _READING
        for some in slices(authors):
            _ensure_time(until)
            ids = {} if before is None else {"$lt": before}
            if len(found) == limit:
                ids["$gt"] = found[-1].id
            wanted = {"actor": {"$in": some}, "type": {"$nin": list(map(str, TAKES_BACK))}}
            wanted |= {"_id": ids} if ids else {}
            with mongo_or_unavailable():
                rows = await self._events.find(wanted).sort("_id", DESCENDING).limit(limit).to_list(limit)
            found = sorted(found + [kept(row) for row in rows], key=lambda one: one.id, reverse=True)[:limit]
        await self._whole()
        return found

    async def between(self, epoch: str, authors: Iterable[int], partition: int, span: range, limit: int) -> list[Kept]:
        """The authors' first `limit` events in a span of the topic's partition, in the log's order, out of a whole archive."""
        found: list[Kept] = []
        until = monotonic() + _READING
        for some in slices(authors):
            _ensure_time(until)
            stop = found[-1].offset if len(found) == limit else span.stop
            wanted = {
                "actor": {"$in": some},
                "part": partition,
                "off": {"$gte": span.start, "$lt": stop},
                "epoch": epoch,
            }
            with mongo_or_unavailable():
                rows = await self._events.find(wanted).sort("off", ASCENDING).limit(limit).to_list(limit)
            found = sorted(found + [kept(row) for row in rows], key=lambda one: one.offset)[:limit]
        await self._whole()
        return found

    async def still_there(self, ids: Sequence[str]) -> set[str]:
        """Those of the events that are here: the others were taken out, or their author's account has ended."""
        if not ids:
            return set()
        with mongo_or_unavailable():
            wanted = {"_id": {"$in": list(ids)}, "gone": {"$exists": False}}
            return {row["_id"] async for row in self._events.find(wanted, {"_id": 1})}

    async def is_taken_back(self, author: int, post: object) -> bool:
        """Whether the author's deletion of the post is here."""
        with mongo_or_unavailable():
            taken = {"post": post, "actor": author, "type": str(EventType.POST_DELETED)}
            return await self._events.find_one(taken) is not None

    async def active_since(self, when: datetime) -> list[int]:
        """Those who did something since then."""
        with mongo_or_unavailable():
            return await self._events.distinct("actor", {"_id": {"$gte": first_id(when)}})

    async def _are_ended(self, names: Sequence[tuple[str, str]]) -> list[bool]:
        found = await self._found_ended({name for pair in names for name in pair})
        ended = [not found.isdisjoint(pair) for pair in names]
        if not all(ended):
            await self._whole()
        return ended

    async def _gone(self, uids: Iterable[int]) -> list[int]:
        """Those of the people whose accounts have ended."""
        by_name = {user_name(uid): uid for uid in uids}
        return [by_name[name] for name in await self._found_ended(by_name)] if by_name else []

    async def _found_ended(self, names: Iterable[str]) -> set[str]:
        with mongo_or_unavailable():
            return {row["_id"] async for row in self._ended.find({"_id": {"$in": list(names)}}, {"_id": 1})}

    async def _whole(self) -> State:
        """Looked at after reading, so that what was read before an emptying that began meanwhile is not believed."""
        with mongo_or_unavailable():
            state = await self._logbook.state()
        if state is None or state.lack:
            raise ArchiveUnavailable(state.lack if state else "the archive is empty: no storekeeper has ever run on it")
        return state


def _ensure_time(until: float) -> None:
    if monotonic() > until:
        raise ArchiveUnavailable(f"MongoDB answers each call, and not all of a reading within {_READING} s")
