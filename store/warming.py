"""Warming: what a batch of events means for the timelines."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from redis.asyncio import Redis

from store.archive import Archive
from store.batch import departed, ended
from store.events import TAKES_BACK, Arrival
from store.feed import Feed
from store.logbook import Turn
from store.sessions import KEPT_ENDED, Sessions
from store.teller import Teller
from store.timelines import MOST_FOLLOWERS, Unknown
from store.topic import Topic
from store.turns import Patiently, Turns

log = logging.getLogger(__name__)

# Times that the followers of an author are read for a batch; after that the feeds of all of them are made anew when they are read.
_TRIES = 3


class Warming:
    """Redis may be gone: then the work goes on without it, and what it holds is not believed until it was made anew.

    As long as the archive is being made anew the timelines are left as they are: what comes is old to them.
    """

    def __init__(self, redis: "Redis", archive: Archive, topic: Topic, patiently: Patiently[Any]) -> None:
        self._teller = Teller(redis, topic.epoch, topic.partitions)
        self._archive, self._patiently = archive, patiently
        self._feed, self._sessions = Feed(redis, archive), Sessions(redis)

    async def tell(self, arrivals: Collection[Arrival], spans: Mapping[int, tuple[int, int]], turns: Turns) -> None:
        """Tells the timelines what the archive has already. Raises ArchiveUnavailable."""
        mine = {partition: turn for partition, turn in turns.mine.items() if partition in spans}
        if not await turns.is_whole():
            return
        try:
            told = await self._claimed(turns, mine)
            news = [one for one in arrivals if one.partition in told and one.offset >= told[one.partition]]
            # A record may stand twice in the log, the second time behind what has taken its event out.
            to_push = [one for one in news if one.type not in TAKES_BACK]
            there = await self._patiently(lambda: self._archive.still_there([one.id for one in to_push]))
            readers, unknown = await self._push([one for one in to_push if one.id in there], news, mine)
            await self._teller.forget(_changed_lists(news, there, readers) | unknown)
            until = int(time.time()) + KEPT_ENDED
            # The API said so at once, unless Redis was away just then.
            for sid in ended(news):
                await self._sessions.mark_ended(sid, until)
            for uid in departed(news):
                await self._sessions.mark_all_ended(uid, until)
            await self._teller.told({p: span for p, span in spans.items() if p in told}, mine)
        except Unknown as error:
            log.warning("the timelines miss a batch and will be made anew: %s", error)

    async def _push(
        self, to_push: Sequence[Arrival], news: Collection[Arrival], mine: Mapping[int, Turn]
    ) -> tuple[dict[int, list[int]], set[str]]:
        """Adds events to feeds. The readers of everybody in `news`, and the feeds of which it is not known who reads them.

        Another member may have a follow or an unfollow of the same author at the same time: then the followers are read again.
        """
        readers: dict[int, list[int]] = {}
        unknown = {one.actor for one in news}
        for _ in range(_TRIES):
            followers = await self._patiently(partial(self._feed.followers, sorted(unknown)))
            large = {author for author, found in followers.items() if len(found) > MOST_FOLLOWERS}
            readers |= {
                author: [author] if author in large else [author, *found] for author, found in followers.items()
            }
            await self._teller.mark_large(large)
            unknown = await self._teller.push([one for one in to_push if one.actor in unknown], readers, mine)
            if not unknown:
                break
        return readers, {f"feed:{reader}" for author in unknown for reader in readers[author]}

    async def look_after(self, turns: Turns) -> None:
        """In an idle moment: sees to it that the timelines are where we are. Raises ArchiveUnavailable."""
        if turns.mine and await turns.is_whole():
            try:
                await self._claimed(turns, dict(turns.mine))
            except Unknown as error:
                log.debug("Redis is not there: %s", error)

    async def _claimed(self, turns: Turns, mine: Mapping[int, Turn]) -> dict[int, int]:
        """Where the timelines stand in those of the partitions that are ours to tell."""
        told = await self._teller.claim(mine)
        refused = mine.keys() - told.keys()
        if refused and (sure := await turns.are_ours(refused)):
            # Redis knows of a later turn than the logbook: the archive was restored from an older copy.
            told |= await self._teller.claim({partition: mine[partition] for partition in sure}, sure)
        return told


def _changed_lists(arrivals: Collection[Arrival], there: Collection[str], readers: Mapping[int, list[int]]) -> set[str]:
    """The lists that the arrivals make wrong in another way than by a new event; `there` are those that the archive has."""
    keys: set[str] = set()
    for change in (arrival.change for arrival in arrivals if arrival.change):
        keys |= {f"following:{change.follower}", f"feed:{change.follower}", f"followers:{change.followee}"}
    for uid in departed(arrivals):
        # Whom they followed keeps them among the followers until that is made anew: a feed that nobody reads.
        keys |= {f"following:{uid}", f"followers:{uid}"}
    # Also where an event was taken out as it came: a reader may have seen it in between, and be about to keep it.
    for author in {one.actor for one in arrivals if one.type in TAKES_BACK or one.id not in there}:
        keys |= {f"feed:{reader}" for reader in readers[author]}
    return keys
