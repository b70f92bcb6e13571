"""`python -m store rebuild`: the archive from Kafka, the timelines from the archive, while everything runs.

While the archive is made anew nobody reads it: pages answer 503, streams that need it are asked to come again, and live streams
go on. The storekeepers fill it, as fast as they can, and are told where to begin by the logbook.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from aiokafka import TopicPartition

from store.archive import open_archive
from store.broker import close, open_reader
from store.feed import Feed, FeedUnavailable
from store.settings import Settings
from store.timelines import Timelines, open_redis
from store.topic import Topic, ensure_topics

Say = Callable[[str], None]

_OTHERS_END = 10  # seconds: longer than any one call to MongoDB of a rebuild that stopped in the middle
_TAKEN_OVER = (
    "another rebuild has begun meanwhile and goes on with it, or the topic was made anew: see the storekeeper's log"
)
_AT_ONCE = 8
_ACTIVE = timedelta(days=1)


class CannotRebuild(Exception):
    """The text says why, and the remedy."""


async def rebuild_archive(settings: Settings, say: Say) -> None:
    """Returns when the archive is whole again. May be interrupted and begun again at any moment.

    Raises CannotRebuild, with everything as it was, if Kafka does not have all events any more: because it has dropped the
    oldest, or because the topic was made anew, or another one was named, after the archive had events of the one before.
    """
    topic = await ensure_topics(settings)
    firsts, ends = await log_bounds(settings, topic)
    if gone := {partition: first for partition, first in firsts.items() if first}:
        raise CannotRebuild(
            f"Kafka has dropped the oldest records of partitions {sorted(gone)} (retention): the archive has more than a "
            "rebuild could give back. Restore MongoDB from a backup instead; the storekeeper adds what is newer by itself."
        )
    mark = uuid4().hex
    async with open_archive(settings) as archive, open_redis(settings) as redis:
        await archive.ensure_indexes()
        known = await archive.log(lambda logbook: logbook.state())
        if known is None or known.epoch == topic.epoch:
            await archive.log(lambda logbook: logbook.begin(topic.epoch, firsts, ends))
        before = await archive.log(lambda logbook: logbook.start_emptying(topic.epoch, mark, ends))
        if before is None:
            raise CannotRebuild(
                f"the archive has events of another topic than the {topic.name} that there is now (it was made anew, or "
                "KAFKA_TOPIC named another), which a rebuild could not give back. Restore MongoDB from a backup instead; the "
                "storekeeper adds what is newer by itself. To give those events up, stop the storekeepers and drop the database"
            )
        if before.emptying:
            say(f"another rebuild has stopped while it emptied the archive: going on with it in {_OTHERS_END} s")
            await asyncio.sleep(_OTHERS_END)
            state = await archive.log(lambda logbook: logbook.state())
            if state is None or state.emptying != mark:
                raise CannotRebuild(_TAKEN_OVER)
        say("the archive is emptied; nobody reads it until it is whole")
        await archive.empty()
        await Timelines(redis).renew()
        if not await archive.log(lambda logbook: logbook.finish_emptying(mark, firsts)):
            raise CannotRebuild(_TAKEN_OVER)
        total, last = sum(ends.values()), -1
        while (state := await archive.log(lambda logbook: logbook.state())) and state.lacking:
            hint = "  (is a storekeeper running?)" if state.lacking == last else ""
            last = state.lacking
            say(f"{total - last} of {total} records ({(total - last) * 100 // total} %){hint}")
            await asyncio.sleep(1)
        say(f"{total} of {total} records: the archive is whole")


async def rebuild_cache(settings: Settings, say: Say) -> None:
    """Makes all lists unknown at once, then warms those of the people who were warm, or who did something in the last day."""
    since = datetime.now(UTC) - _ACTIVE
    async with open_archive(settings) as archive, open_redis(settings) as redis:
        feed, timelines = Feed(redis, archive), Timelines(redis)
        people = sorted({*await timelines.warm(), *await archive.active_since(since)})
        await timelines.renew()
        say(f"everything warm is forgotten; {len(people)} people are warmed")
        for start in range(0, len(people), _AT_ONCE):
            try:
                await asyncio.gather(*(feed.page(uid, None, 1) for uid in people[start : start + _AT_ONCE]))
            except FeedUnavailable as error:
                raise CannotRebuild(f"{error}; try again later: what is cold is filled when it is asked for") from None
            if start % 1000 == 0 and start:
                say(f"{start} of {len(people)}")
        say(f"{len(people)} of {len(people)}: done")


async def log_bounds(settings: Settings, topic: Topic) -> tuple[dict[int, int], dict[int, int]]:
    """Where each partition of the log begins and ends."""
    reader = open_reader(settings)
    every = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
    try:
        await reader.start()
        firsts, ends = await reader.beginning_offsets(every), await reader.end_offsets(every)
    finally:
        await close(reader)
    return {at.partition: first for at, first in firsts.items()}, {at.partition: end for at, end in ends.items()}
