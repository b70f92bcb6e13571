"""The storekeeper: takes events from Kafka into the archive and the timelines, in batches, each step repeatable.

The order of the steps is the promise: archive, timelines, progress, and only then the commit to Kafka. Killed anywhere, it
begins again at the recorded progress and does the rest of the batch once more, to the same effect.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from store.archive import Archive, ArchiveUnavailable, open_archive
from store.batch import check_body, departed, ended
from store.broker import BrokerUnavailable, Publisher, close, open_reader
from store.cursor import Cursor
from store.events import TAKES_BACK, Arrival, NotAnEvent, Record, parse_arrival
from store.feed import Feed
from store.meters import Meters
from store.sessions import Sessions
from store.settings import Settings
from store.timelines import MOST_FOLLOWERS, Timelines, Unknown, open_redis
from store.topic import Topic, ensure_topics

log = logging.getLogger(__name__)
T = TypeVar("T")

GROUP = "storekeeper"
_BATCH = 500
_POLL_MS = 1000
_LONGEST_DELAY = 5.0
_TOKEN_LIFE = timedelta(days=1)  # an ended session is remembered for longer than any access token lives


class Storekeeper:
    """One member of the group. `run` ends only by being cancelled; whatever it cannot reach, it waits for."""

    def __init__(self, settings: Settings, meters: Meters) -> None:
        self._settings, self._meters = settings, meters
        self._timelines_missed = True  # at the start nobody knows what was missed
        self.state = "starting"

    async def run(self) -> None:
        """Consumes for ever."""
        topic = await ensure_topics(self._settings)
        async with AsyncExitStack() as stack:
            self._archive: Archive = await stack.enter_async_context(open_archive(self._settings))
            redis = await stack.enter_async_context(open_redis(self._settings))
            self._timelines, self._feed, self._sessions = Timelines(redis), Feed(redis, self._archive), Sessions(redis)
            self._dead = await stack.enter_async_context(Publisher(self._settings, self._settings.kafka_dead_topic))
            await self._patiently(self._archive.ensure_indexes)
            await self._patiently(lambda: self._archive.begin_topic(topic.epoch, topic.partitions))
            while True:
                reader = open_reader(self._settings, group=GROUP)
                try:
                    await self._consume(reader, topic)
                except (KafkaError, OSError) as error:
                    self.state = f"Kafka: {error!r:.200}"
                    log.warning("reading Kafka failed, beginning again at the recorded progress: %r", error)
                    await asyncio.sleep(1)
                finally:
                    await close(reader)

    async def _consume(self, reader: AIOKafkaConsumer, topic: Topic) -> None:
        reader.subscribe([topic.name], listener=_AtProgress(self._progress, reader, topic))
        await reader.start()
        while True:
            batch = await reader.getmany(timeout_ms=_POLL_MS, max_records=_BATCH)
            self.state = "ready"
            if batch:
                began = time.monotonic()
                records = [record for some in batch.values() for record in some]
                ends = {at.partition: some[-1].offset + 1 for at, some in batch.items()}
                await self._keep(records, ends, topic)
                await reader.commit({at: ends[at.partition] for at in batch})
                self._meters.batch_seconds.observe(time.monotonic() - began)
                self._meters.kept.inc(len(records))

    async def _progress(self) -> Cursor | None:
        return await self._patiently(self._archive.progress)

    async def _keep(self, records: list[ConsumerRecord], ends: dict[int, int], topic: Topic) -> None:
        arrivals = [arrival for record in records if (arrival := await self._understood(record))]
        await self._patiently(lambda: self._into_archive(arrivals))
        await self._into_timelines(arrivals)
        await self._patiently(lambda: self._archive.record_progress(topic.epoch, ends))

    async def _into_archive(self, arrivals: list[Arrival]) -> None:
        await self._archive.end_accounts(departed(arrivals))
        await self._archive.add(arrivals)
        await self._archive.change_follows([arrival.change for arrival in arrivals if arrival.change])
        until = datetime.now(UTC) + _TOKEN_LIFE
        await self._archive.end_sessions(dict.fromkeys(ended(arrivals), until))

    async def _into_timelines(self, arrivals: list[Arrival]) -> None:
        """Redis may be gone: then all that it holds is dropped when it is back, before anything is added to it again."""
        try:
            if self._timelines_missed or await self._somebody_large_is_gone(arrivals):
                await self._timelines.forget_all()
                self._timelines_missed = False
            await self._push([arrival for arrival in arrivals if arrival.type not in TAKES_BACK])
            await self._timelines.forget(await self._changed_keys(arrivals))
            # The API said so at once, unless Redis was away just then.
            until = int(time.time() + _TOKEN_LIFE.total_seconds())
            for sid in ended(arrivals):
                await self._sessions.mark_ended(sid, until)
            for uid in departed(arrivals):
                await self._sessions.mark_all_ended(uid, until)
        except Unknown as error:
            self._timelines_missed = True
            log.warning("the timelines miss a batch and will be made anew: %s", error)

    async def _push(self, arrivals: list[Arrival]) -> None:
        readers: dict[str, list[int]] = {}
        for author in {arrival.actor for arrival in arrivals}:
            followers = await self._followers(author)
            if len(followers) > MOST_FOLLOWERS:
                await self._timelines.mark_large(author)
                followers = []
            readers.update({arrival.id: [author, *followers] for arrival in arrivals if arrival.actor == author})
        await self._timelines.push(readers, {arrival.id: arrival.value for arrival in arrivals})

    async def _changed_keys(self, arrivals: Iterable[Arrival]) -> set[str]:
        """The timelines that the arrivals make wrong in another way than by a new event."""
        keys: set[str] = set()
        for change in (arrival.change for arrival in arrivals if arrival.change):
            keys |= {f"following:{change.follower}", f"feed:{change.follower}", f"followers:{change.followee}"}
        for uid in departed(arrivals):
            # Whom they followed keeps them among the followers until that is made anew: a feed that nobody reads.
            keys |= {f"following:{uid}", f"followers:{uid}"}
        for author in {arrival.actor for arrival in arrivals if arrival.type in TAKES_BACK}:
            keys |= {f"feed:{reader}" for reader in (author, *await self._followers(author))}
        return keys

    async def _somebody_large_is_gone(self, arrivals: Iterable[Arrival]) -> bool:
        """Whether feeds may hold what is gone, copied before its author had too many followers to tell whose feeds they are."""
        return any([len(await self._followers(uid)) > MOST_FOLLOWERS for uid in departed(arrivals)])

    async def _followers(self, author: int) -> list[int]:
        return await self._patiently(lambda: self._feed.followers(author))

    async def _understood(self, record: ConsumerRecord) -> Arrival | None:
        """The record as an arrival, or None after it was put into the dead-letter topic with the reason."""
        try:
            arrival = parse_arrival(record.partition, record.offset, record.key, record.value, tuple(record.headers))
            check_body(arrival)
            return arrival
        except NotAnEvent as error:
            where = f"{record.topic}/{record.partition}/{record.offset}"
            log.warning("record %s is not an event and goes to %s: %s", where, self._settings.kafka_dead_topic, error)
            self._meters.dead.inc()
            headers = (*record.headers, ("dead-reason", str(error).encode()), ("dead-from", where.encode()))
            dead = Record(record.key or b"", record.value or b"", headers)
            await self._patiently(lambda: self._dead.publish([dead]))
            return None

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Repeats the step, which may be repeated, until it succeeds: waiting is the back-pressure, Kafka keeps the rest."""
        delay = 0.1
        while True:
            try:
                return await step()
            except (ArchiveUnavailable, BrokerUnavailable) as error:
                self.state = str(error)
                log.warning("waiting %.1f s before trying again: %s", delay, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)


class _AtProgress(ConsumerRebalanceListener):  # type: ignore[misc]
    """Begins every partition it is given at the progress in the archive, which is the truth; the commits are for lag tools."""

    def __init__(
        self, progress: Callable[[], Awaitable[Cursor | None]], reader: AIOKafkaConsumer, topic: Topic
    ) -> None:
        self._progress, self._reader, self._topic = progress, reader, topic

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Nothing: a batch that is under way is repeated by the next owner."""

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        progress = await self._progress()
        first = await self._reader.beginning_offsets(list(assigned))
        for at in assigned:
            known = progress.offsets[at.partition] if progress and progress.epoch == self._topic.epoch else 0
            self._reader.seek(at, max(known, first[at]))
