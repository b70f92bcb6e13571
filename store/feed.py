"""The feed of one reader, page by page: what is warm from Redis, the rest from the archive."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis.asyncio import Redis

from store import cursor
from store.archive import Archive, ArchiveUnavailable
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

    async def page(self, uid: int, before: str | None, limit: int, brief: Brief | None = None) -> Page:
        """At most `limit` (1 to 100) events with ids below `before`. Pages don't shift while new events come in.

        `brief` may have it already: then neither Redis nor MongoDB is asked, and it goes as far as Redis has been told.
        Raises BadCursor if `before` is not an event's id, FeedUnavailable if it cannot be read now.
        """
        if before is not None and not is_event_id(before):
            raise BadCursor("`before` is not an event's id: take it from `next` of the page before")
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"limit {limit} is not between 1 and {MAX_LIMIT}")
        if before is None and brief is not None and (page := _page_of(uid, limit, brief)):
            return page
        try:
            place = await self._archive.progress()
            items = await (self._older(uid, before, limit, place) if before else self._newest(uid, limit, place))
        except (ArchiveUnavailable, BulkheadFull) as error:
            raise FeedUnavailable(str(error)) from error
        return _page(items, limit, place)

    async def following(self, uid: int, needed: Cursor | None = None) -> dict[int, int]:
        """Whom the user follows, with the `seq` of each follow: all that is below `needed`, if that is given, or all that the
        archive knows. Raises FeedUnavailable."""
        try:
            return await self._following(uid, needed)
        except (ArchiveUnavailable, BulkheadFull) as error:
            raise FeedUnavailable(str(error)) from error

    async def followers(self, uids: Sequence[int]) -> dict[int, list[int]]:
        """Who follows each of these users; only the first MOST_FOLLOWERS + 1 of them. Raises ArchiveUnavailable.

        For the storekeeper: it is as new as what the storekeeper has done, and asks no archive whether it is whole.
        """
        found: dict[int, list[int]] = {}
        with suppress(Unknown):
            found = await self._timelines.followers(uids)
        for uid in uids:
            if uid not in found:
                key = f"followers:{uid}"
                token = await self._lease(key)
                found[uid] = await self._archive.followers(uid, MOST_FOLLOWERS + 1)
                await self._fill(key, token, [str(follower).encode() for follower in found[uid]])
        return found

    async def _following(self, uid: int, needed: Cursor | None) -> dict[int, int]:
        with suppress(Unknown):
            return await self._timelines.following(uid, needed)
        key = f"following:{uid}"
        token = await self._lease(key)
        async with self._cold.inside():
            found = await self._archive.following(uid)
        await self._fill(key, token, [f"{followee}:{seq}".encode() for followee, seq in found.items()])
        return found

    async def _newest(self, uid: int, limit: int, place: Cursor) -> list[tuple[str, bytes]]:
        with suppress(Unknown):
            warm = await self._timelines.feed(uid, place)
            large = await self._timelines.large([uid, *await self._following(uid, place)])
            if not large:
                return warm[:limit]
            mixed = await self._with_large(warm, large, limit)
            if mixed is not None:
                return mixed
        key = f"feed:{uid}"
        token = await self._lease(key)
        found = await self._older(uid, None, FEED_LENGTH, place)
        await self._fill(key, token, [feed_member(event_id, body) for event_id, body in found])
        return found[:limit]

    async def _with_large(
        self, warm: list[tuple[str, bytes]], authors: list[int], limit: int
    ) -> list[tuple[str, bytes]] | None:
        """A warm feed with what these authors did taken from the archive alone: nobody is told when they take something back.

        None if the feed does not reach far enough back for that.
        """
        theirs = await self._archived(authors, None, limit)
        others = [(event_id, body) for event_id, body in warm if actor_of(body) not in authors]
        mixed = sorted([*others, *theirs], reverse=True)[:limit]
        is_cut = len(warm) >= FEED_LENGTH
        return None if is_cut and (len(mixed) < limit or mixed[-1][0] < warm[-1][0]) else mixed

    async def _older(self, uid: int, before: str | None, limit: int, place: Cursor) -> list[tuple[str, bytes]]:
        authors = [uid, *await self._following(uid, place)]
        return await self._archived(authors, before, limit)

    async def _archived(self, authors: list[int], before: str | None, limit: int) -> list[tuple[str, bytes]]:
        async with self._cold.inside():
            return [(kept.id, kept.value) for kept in await self._archive.newest(authors, before, limit)]

    async def _lease(self, key: str) -> str | None:
        with suppress(Unknown):
            return await self._timelines.lease(key)
        return None

    async def _fill(self, key: str, token: str | None, members: list[bytes]) -> None:
        if token is not None:
            with suppress(Unknown):
                await self._timelines.fill(key, token, members)


def _page_of(uid: int, limit: int, brief: Brief) -> Page | None:
    """The newest page, if the brief has all of it."""
    if brief.feed is None or brief.following is None or brief.told is None:
        return None
    if brief.large and not brief.large.isdisjoint((uid, *brief.following)):
        return None
    return _page(brief.feed[:limit], limit, brief.told)


def _page(items: list[tuple[str, bytes]], limit: int, place: Cursor) -> Page:
    last = items[-1][0] if len(items) == limit else None
    bodies, ids = [body for _, body in items], [event_id for event_id, _ in items]
    return Page(bodies, ids, last, cursor.encode(place.epoch, place.offsets))
