"""The feed of one reader, page by page: what is warm from Redis, the rest from the archive."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis.asyncio import Redis

from store import cursor
from store.archive import Archive, ArchiveUnavailable
from store.as_of import AsOf, Behind
from store.briefs import Brief, Briefs
from store.bulkhead import Bulkhead, BulkheadFull
from store.cursor import BadCursor, Cursor
from store.events import actor_of, is_event_id
from store.timelines import FEED_LENGTH, MOST_FOLLOWERS, Timelines, Unknown, feed_member

MAX_LIMIT = 100
# Calls to the archive at a time, half of its driver's connections: the other half is for what is short. The others wait here, and
# not in the driver, where waiting counts as the call.
_COLD_AT_ONCE = 16
# As long as a call may take: behind a MongoDB that hangs nobody waits for more than one call of somebody else's. Who waits is a
# request or an opening, of which the edge and the node let in so many.
_TURN_SECONDS = 5.0


class FeedUnavailable(Exception):
    """Neither Redis nor MongoDB can serve this now; trying again in a second or so is right."""


@dataclass(frozen=True, slots=True)
class Page:
    """`items` are events' JSON, newest first, and `ids` theirs; `next` goes on from them, `cursor` is where to go live from."""

    items: list[bytes]
    ids: list[str]
    next: str | None
    cursor: str


class Feed:
    """Reads feeds. A feed is the events of those whom the reader follows now, and the reader's own."""

    def __init__(self, redis: "Redis", archive: Archive) -> None:
        self._timelines, self._briefs, self._archive = Timelines(redis), Briefs(redis), archive
        self._cold = Bulkhead(_COLD_AT_ONCE, _TURN_SECONDS)

    async def brief(self, uid: int, sid: str, *, following: bool = False, feed: int = 0) -> Brief:
        """What Redis knows of somebody who comes. It never raises."""
        return await self._briefs.brief(uid, sid, following=following, feed=feed)

    async def page(self, uid: int, before: str | None, limit: int) -> Page:
        """At most `limit` (1 to 100) events with ids below `before`. Pages don't shift while new events come in.

        Raises BadCursor if `before` is not an event's id, FeedUnavailable if it cannot be read now.
        """
        if before is not None and not is_event_id(before):
            raise BadCursor("`before` is not an event's id: take it from `next` of the page before")
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"limit {limit} is not between 1 and {MAX_LIMIT}")
        try:
            place = await self._archive.progress()
            items = await (self._older(uid, before, limit, place) if before else self._newest(uid, limit, place))
        except (ArchiveUnavailable, Behind, BulkheadFull) as error:
            raise FeedUnavailable(str(error)) from error
        return _page(items, limit, place)

    async def following(self, uid: int, place: Cursor) -> AsOf[dict[int, int], Cursor]:
        """Whom the user follows, with the `seq` of each follow, as of `place` or later; `place` is what the archive's `progress`
        has answered. Raises FeedUnavailable."""
        try:
            return await self._following(uid, place)
        except (ArchiveUnavailable, BulkheadFull) as error:
            raise FeedUnavailable(str(error)) from error

    async def reached(self) -> list[Cursor]:
        """How far in the log Redis has been told and the archive has come: of each what it can say now. It never raises."""
        places: list[Cursor] = []
        with suppress(Unknown):
            told = await self._timelines.told()
            places += [told] if told is not None else []
        with suppress(ArchiveUnavailable):
            places.append(await self._archive.progress())
        return places

    async def followers(self, uids: Sequence[int]) -> dict[int, list[int]]:
        """Who follows each of these users; only the first MOST_FOLLOWERS + 1 of them. Raises ArchiveUnavailable.

        For the storekeeper: it is as new as what the storekeeper has done, and asks no archive whether it is whole.
        """
        found: dict[int, list[int]] = {}
        with suppress(Unknown):
            warm = await self._timelines.followers(uids)
            found = warm.regardless("the storekeeper, which alone tells the lists, asks before it goes on")
        for uid in uids:
            if uid not in found:
                key = f"followers:{uid}"
                token = await self._lease(key)
                found[uid] = await self._archive.followers(uid, MOST_FOLLOWERS + 1)
                await self._fill(key, token, [str(follower).encode() for follower in found[uid]])
        return found

    async def _following(self, uid: int, place: Cursor) -> AsOf[dict[int, int], Cursor]:
        with suppress(Unknown):
            warm = await self._timelines.following(uid)
            if warm.reaches(place):
                return warm
        key = f"following:{uid}"
        token = await self._lease(key)
        async with self._cold.inside():
            found = await self._archive.following(uid, place)
        follows = found.regardless("the lease says whether the list has changed since")
        await self._fill(key, token, [f"{followee}:{seq}".encode() for followee, seq in follows.items()])
        return found

    async def _newest(self, uid: int, limit: int, place: Cursor) -> list[tuple[str, bytes]]:
        with suppress(Unknown, Behind):
            warm = (await self._timelines.feed(uid)).at_least(place)
            authors = [uid, *(await self._following(uid, place)).at_least(place)]
            large = await self._timelines.large(authors)
            if not large:
                return warm[:limit]
            mixed = await self._with_large(warm, large, limit, place)
            if mixed is not None:
                return mixed
        key = f"feed:{uid}"
        token = await self._lease(key)
        found = await self._older(uid, None, FEED_LENGTH, place)
        await self._fill(key, token, [feed_member(event_id, body) for event_id, body in found])
        return found[:limit]

    async def _with_large(
        self, warm: list[tuple[str, bytes]], authors: list[int], limit: int, place: Cursor
    ) -> list[tuple[str, bytes]] | None:
        """A warm feed with what these authors did taken from the archive alone: nobody is told when they take something back.

        None if the feed does not reach far enough back for that.
        """
        theirs = await self._events(authors, None, limit, place)
        others = [(event_id, body) for event_id, body in warm if actor_of(body) not in authors]
        mixed = sorted([*others, *theirs], reverse=True)[:limit]
        is_cut = len(warm) >= FEED_LENGTH
        return None if is_cut and (len(mixed) < limit or mixed[-1][0] < warm[-1][0]) else mixed

    async def _older(self, uid: int, before: str | None, limit: int, place: Cursor) -> list[tuple[str, bytes]]:
        authors = [uid, *(await self._following(uid, place)).at_least(place)]
        return await self._events(authors, before, limit, place)

    async def _events(
        self, authors: list[int], before: str | None, limit: int, place: Cursor
    ) -> list[tuple[str, bytes]]:
        async with self._cold.inside():
            found = await self._archive.newest(authors, before, limit, place)
        return [(kept.id, kept.value) for kept in found.at_least(place)]

    async def _lease(self, key: str) -> str | None:
        with suppress(Unknown):
            return await self._timelines.lease(key)
        return None

    async def _fill(self, key: str, token: str | None, members: list[bytes]) -> None:
        if token is not None:
            with suppress(Unknown):
                await self._timelines.fill(key, token, members)


def page_of(uid: int, limit: int, brief: Brief) -> Page | None:
    """The newest page, as far as Redis has been told, if the brief has all of it: then neither Redis nor MongoDB is asked."""
    if brief.feed is None or brief.following is None or (told := brief.feed.position) is None:
        return None
    if brief.large and not brief.large.isdisjoint((uid, *brief.following.at_least(told))):
        return None
    return _page(brief.feed.at_least(told)[:limit], limit, told)


def _page(items: list[tuple[str, bytes]], limit: int, place: Cursor) -> Page:
    last = items[-1][0] if len(items) == limit else None
    bodies, ids = [body for _, body in items], [event_id for event_id, _ in items]
    return Page(bodies, ids, last, cursor.encode(place.epoch, place.offsets))
