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
from store.archive_reads import A_BATCH, Kept, cut, kept, slices
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
from store.as_of import AsOf
from store.cursor import Cursor
from store.events import TAKES_BACK, Arrival, EventType, FollowChange, first_id
from store.logbook import Logbook, State
from store.settings import Settings
from store.together import Together

__all__ = ["Archive", "ArchiveUnavailable", "Kept", "open_archive"]

T = TypeVar("T")

_TIMEOUT_MS = 5000
_ONE_TRIP = 20_000  # as many streams as a node takes: who asks for the progress gets one answer, however many there are
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
    Such an answer is as of a progress that was read before it: `place`, if the caller has read one, which saves a round trip.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._events, self._follows, self._ended = database.events, database.follows, database.ended
        self._logbook = Logbook(database.progress)
        self._is_ended = Together(self._are_ended)
        self._progress = Together(self._progresses, _ONE_TRIP)

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

    async def is_ended(self, uid: int, sid: str) -> AsOf[bool, Cursor]:
        """Whether the end of the user's session, or of all of them, has reached the archive, which is whole.

        An end is final: it is found in an archive of any age, and in one that is not whole.
        """
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
        """The cursor up to which the archive is complete and whole. Those who ask at the same time are one question."""
        return await self._progress(None)

    async def following(self, uid: int, place: Cursor | None = None) -> AsOf[dict[int, int], Cursor]:
        """Whom the user follows, each with the `seq` of that follow, out of a whole archive."""
        before = place or await self.progress()
        with mongo_or_unavailable():
            found = {row["followee"]: row["seq"] async for row in self._follows.find({"follower": uid, "on": True})}
        return await self._as_of(before, found)

    async def newest_seq(self, follower: int, followee: int) -> AsOf[int, Cursor]:
        """The highest `seq` of the pair, whether it is on or off; 0 if there was none yet. The archive is whole."""
        before = await self.progress()
        with mongo_or_unavailable():
            row = await self._follows.find_one({"_id": f"{follower}:{followee}"}, {"seq": 1})
        return await self._as_of(before, row["seq"] if row else 0)

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

    async def newest(
        self, authors: Iterable[int], before: str | None, limit: int, place: Cursor | None = None
    ) -> AsOf[list[Kept], Cursor]:
        """The authors' newest events with ids below `before`, newest first; the archive is whole. Without what takes back."""
        since = place or await self.progress()
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
        return await self._as_of(since, found)

    async def between(
        self, epoch: str, authors: Iterable[int], partition: int, span: range, *, limit: int, max_bytes: int
    ) -> tuple[list[Kept], int]:
        """The authors' first events in a span of the topic's partition, in the log's order, out of a whole archive.

        At most `limit`, and `max_bytes` of values, but one if there is any. And the offset below which they are all there are.
        While it is asked, no more than twice as much is here, and a batch of the driver.
        """
        found: list[Kept] = []
        stop = span.stop
        until = monotonic() + _READING
        for some in slices(authors):
            _ensure_time(until)
            wanted = {
                "actor": {"$in": some},
                "part": partition,
                "off": {"$gte": span.start, "$lt": stop},
                "epoch": epoch,
            }
            with mongo_or_unavailable(), timeout(_TIMEOUT_MS / 1000):
                rows = self._events.find(wanted).sort("off", ASCENDING).limit(limit + 1).batch_size(A_BATCH)
                theirs, left = [], max_bytes
                async with rows:
                    async for row in rows:
                        theirs.append(kept(row))
                        left -= len(theirs[-1].value)
                        if left < 0 and len(theirs) > 1:  # the last of them is left out, and says from where on
                            break
            found, first_left_out = cut(sorted(found + theirs, key=lambda one: one.offset), limit, max_bytes)
            stop = stop if first_left_out is None else first_left_out
        await self._whole()
        return found, stop

    async def still_there(self, ids: Sequence[str]) -> set[str]:
        """Those of the events that are here: the others were taken out, or their author's account has ended."""
        if not ids:
            return set()
        with mongo_or_unavailable():
            wanted = {"_id": {"$in": list(ids)}, "gone": {"$exists": False}}
            return {row["_id"] async for row in self._events.find(wanted, {"_id": 1})}

    async def is_taken_back(self, author: int, post: object) -> AsOf[bool, Cursor]:
        """Whether the author's deletion of the post is here. The archive is whole."""
        before = await self.progress()
        with mongo_or_unavailable():
            taken = {"post": post, "actor": author, "type": str(EventType.POST_DELETED)}
            found = await self._events.find_one(taken) is not None
        return await self._as_of(before, found)

    async def active_since(self, when: datetime) -> list[int]:
        """Those who did something since then."""
        with mongo_or_unavailable():
            return await self._events.distinct("actor", {"_id": {"$gte": first_id(when)}})

    async def _are_ended(self, names: Sequence[tuple[str, str]]) -> list[AsOf[bool, Cursor]]:
        with mongo_or_unavailable():
            before = await self._logbook.state()
        found = await self._found_ended({name for pair in names for name in pair})
        ended = [not found.isdisjoint(pair) for pair in names]
        if all(ended):
            return [AsOf(one, None, "the archive") for one in ended]
        place = before.cursor if before is not None and not before.lack else None
        return await self._all_as_of(place, ended)

    async def _progresses(self, asked: Sequence[None]) -> list[Cursor]:
        return [(await self._whole()).cursor] * len(asked)

    async def _as_of(self, place: Cursor | None, answer: T) -> AsOf[T, Cursor]:
        [one] = await self._all_as_of(place, [answer])
        return one

    async def _all_as_of(self, place: Cursor | None, answers: Sequence[T]) -> list[AsOf[T, Cursor]]:
        """The answers, which were read when the archive had come to `place`: nowhere, if it was set back meanwhile."""
        after = (await self._whole()).cursor
        sure = place if place is not None and after.has_reached(place) else None
        return [AsOf(answer, sure, "the archive") for answer in answers]

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
