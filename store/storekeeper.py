"""The storekeeper: takes events from Kafka into the archive and the timelines, in batches, each step repeatable.

The order of the steps is the promise: archive, timelines, progress, and only then the commit to Kafka. Killed anywhere, it
begins again at the recorded progress and does the rest of the batch once more, to the same effect.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from store.archive import Archive, ArchiveUnavailable, open_archive
from store.batch import departed, ended
from store.broker import BrokerUnavailable, Publisher, close, open_reader
from store.dead import understood
from store.events import Arrival
from store.highest import highest_of
from store.meters import Meters
from store.sessions import KEPT_ENDED
from store.settings import Settings
from store.timelines import open_redis
from store.topic import Topic, ensure_topics
from store.turns import OutOfTurn, Turns
from store.warming import Warming

log = logging.getLogger(__name__)
T = TypeVar("T")

GROUP = "storekeeper"
_BATCH = 500
_POLL_MS = 1000
_LONGEST_DELAY = 5.0
# For what lag tools read. The library looks for the group's coordinator without end, and the work needs none.
_COMMIT_SECONDS = 5.0


class Storekeeper:
    """One member of the group. `run` ends only by being cancelled; whatever it cannot reach, it waits for.

    Waiting is the back-pressure: nothing more is fetched than one megabyte a partition, and Kafka keeps the rest. A member that has
    waited for five minutes gives its partitions to those who may do better, and takes part again when it can.
    """

    def __init__(self, settings: Settings, meters: Meters) -> None:
        self._settings, self._meters = settings, meters
        self.state = "starting"
        self.lag: dict[int, int] = {}  # records that wait, of each partition that is ours

    async def run(self) -> None:
        """Consumes for ever."""
        async with AsyncExitStack() as stack:
            self._archive: Archive = await stack.enter_async_context(open_archive(self._settings))
            self._redis = await stack.enter_async_context(open_redis(self._settings))
            self._dead = await stack.enter_async_context(Publisher(self._settings, self._settings.kafka_dead_topic))
            await self._patiently(self._archive.ensure_indexes)
            await self._patiently(self._archive.note_highest)
            while True:
                topic = await ensure_topics(self._settings)
                reader = open_reader(self._settings, group=GROUP)
                try:
                    await self._consume(reader, topic)
                except (KafkaError, OSError, OutOfTurn) as error:
                    self.state = f"beginning again at the recorded progress: {error!r:.200}"
                    log.warning("beginning again at the recorded progress: %r", error)
                    self._meters.show_lag({})
                    await asyncio.sleep(1)
                finally:
                    await close(reader)

    async def _consume(self, reader: AIOKafkaConsumer, topic: Topic) -> None:
        turns = Turns(self._archive, reader, topic, self._patiently)
        warming = Warming(self._redis, self._archive, topic, self._patiently)
        reader.subscribe([topic.name], listener=turns)
        await reader.start()
        while True:
            batch = await reader.getmany(timeout_ms=_POLL_MS, max_records=_BATCH)
            self.state = "ready"
            if batch:
                self._tell_lag(reader, turns)  # it may have to wait long
                await self._keep(batch, turns, warming)
                await self._commit(reader, turns)
            else:
                await self._patiently(turns.check)
                await warming.look_after(turns)
            self._tell_lag(reader, turns)

    async def _keep(self, batch: dict[TopicPartition, list[ConsumerRecord]], turns: Turns, warming: Warming) -> None:
        began = time.monotonic()
        spans = await turns.spans(batch)
        arrivals, dead = understood([record for some in batch.values() for record in some])
        if dead:
            log.warning("%d records are no events and go to %s", len(dead), self._settings.kafka_dead_topic)
            await self._patiently(lambda: self._dead.publish(dead))
            self._meters.dead.inc(len(dead))
        await self._patiently(lambda: self._into_archive(turns.epoch, arrivals))
        await warming.tell(arrivals, spans, turns)
        highest = highest_of(arrivals)
        await self._patiently(lambda: turns.record(spans, highest))
        self._meters.batch_seconds.observe(time.monotonic() - began)
        self._meters.kept.inc(sum(map(len, batch.values())))

    async def _commit(self, reader: AIOKafkaConsumer, turns: Turns) -> None:
        """For lag tools; a partition that was given to somebody else meanwhile is none of our business."""
        at = {place: turns.mine[place.partition].next for place in reader.assignment() if place.partition in turns.mine}
        if at:  # the library refuses to commit nothing, which is what is left when all has gone to others
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_COMMIT_SECONDS):
                    await reader.commit(at)

    def _tell_lag(self, reader: AIOKafkaConsumer, turns: Turns) -> None:
        ends = {at.partition: reader.highwater(at) for at in reader.assignment()}
        self.lag = {p: max(0, (ends.get(p) or turn.next) - turn.next) for p, turn in turns.mine.items()}
        self._meters.show_lag(self.lag)

    async def _into_archive(self, epoch: str, arrivals: list[Arrival]) -> None:
        await self._archive.end_accounts(departed(arrivals))
        await self._archive.add(epoch, arrivals)
        await self._archive.change_follows([arrival.change for arrival in arrivals if arrival.change])
        until = datetime.now(UTC) + timedelta(seconds=KEPT_ENDED)
        await self._archive.end_sessions(dict.fromkeys(ended(arrivals), until))

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Repeats the step, which may be repeated, until it succeeds."""
        delay = 0.1
        while True:
            try:
                return await step()
            except (ArchiveUnavailable, BrokerUnavailable) as error:
                self.state = str(error)
                log.warning("waiting %.1f s before trying again: %s", delay, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)
