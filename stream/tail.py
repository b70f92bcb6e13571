"""The tail: reads every partition of the log, live, into the ring, and tells the hub."""

import asyncio
import logging
import time
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from store.broker import close, open_reader
from store.events import NotAnEvent, first_id, parse_arrival
from store.process import settle
from store.topic import Topic, ensure_topics
from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node
from stream.ring import Ring

log = logging.getLogger(__name__)

_POLL_MS = 1000
_BATCH = 2000
_AGAIN = 1.0


async def follow_log(node: Node, meters: Meters) -> None:
    """Follows the log for ever. While Kafka is away the node serves what it has; what it missed it reads when Kafka is back."""
    settings = node.settings
    topic = await ensure_topics(settings)
    while True:
        reader = open_reader(settings)
        try:
            await reader.start()
            ends = await _begin(reader, node, topic)
            await _read(reader, node, ends, meters)
        except (KafkaError, OSError) as error:
            log.warning("reading Kafka failed, going on where the ring ends in %.0f s: %r", _AGAIN, error)
        finally:
            await close(reader)
        await asyncio.sleep(_AGAIN)


async def _begin(reader: AIOKafkaConsumer, node: Node, topic: Topic) -> list[int]:
    """Puts the reader where the ring ends, or some way back if there is none yet. Returns where the log ends now."""
    at = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
    reader.assign(at)
    ends = await reader.end_offsets(at)
    if node.ring is None:
        since = time.time() - node.settings.ring_seconds
        found = await reader.offsets_for_times(dict.fromkeys(at, int(since * 1000)))
        floor = [found[p].offset if found[p] else ends[p] for p in at]
        node.ring = Ring(
            topic.epoch,
            floor,
            seconds=node.settings.ring_seconds,
            max_bytes=node.settings.ring_max_bytes,
            since=first_id(datetime.fromtimestamp(since, UTC)),
        )
        node.hub = Hub(node.ring)
        log.info("reading %s (epoch %s) from %s", topic.name, topic.epoch, floor)
    for partition in at:
        reader.seek(partition, node.ring.next[partition.partition])
    return [ends[partition] for partition in at]


async def _read(reader: AIOKafkaConsumer, node: Node, ends: list[int], meters: Meters) -> None:
    ring, hub = node.ring, node.hub
    assert ring is not None and hub is not None
    partitions = sorted(reader.assignment(), key=lambda at: at.partition)
    while True:
        if node.missing:
            behind = sum(max(0, end - seen) for end, seen in zip(ends, ring.next, strict=True))
            node.missing = f"the tail is {behind} events behind the log" if behind else ""
            if not behind:
                settle()  # hundreds of thousands of events, which live for minutes
        try:
            batch = await reader.getmany(timeout_ms=100 if node.missing else _POLL_MS, max_records=_BATCH)
        except OffsetOutOfRangeError as error:
            await _jump(reader, node, error)
            await asyncio.sleep(
                _AGAIN
            )  # a log that drops records faster than they are read here is not asked all the time
            continue
        now = time.monotonic()
        entries = []
        for partition, records in batch.items():
            for record in records:
                try:
                    arrival = parse_arrival(
                        partition.partition, record.offset, record.key, record.value, record.headers
                    )
                except NotAnEvent as error:
                    log.warning("record %d/%d is passed over: %s", partition.partition, record.offset, error)
                    ring.pass_over(partition.partition, record.offset)
                    meters.not_events.inc()
                    continue
                entry = ring.append(arrival, now)
                if entry is not None:
                    entries.append(entry)
        hub.deliver(entries)
        node.log_ends = [reader.highwater(at) or seen for at, seen in zip(partitions, ring.next, strict=True)]
        if all(map(int.__ge__, ring.next, node.log_ends)):
            node.caught_up_at = min(reader.last_poll_timestamp(at) or 0 for at in partitions) / 1000
        ring.expire(now)
        meters.events.inc(len(entries))


async def _jump(reader: AIOKafkaConsumer, node: Node, error: OffsetOutOfRangeError) -> None:
    """Records were deleted before this node read them: says so to every stream instead of skipping them in silence."""
    ring, hub = node.ring, node.hub
    assert ring is not None and hub is not None
    first = await reader.beginning_offsets(list(error.args[0]))
    for at, offset in first.items():
        log.error(
            "offset %d of %s is gone, the log begins at %d: streams come back and get a gap",
            ring.next[at.partition],
            at,
            offset,
        )
        ring.lose(at.partition, offset)
        reader.seek(at, offset)
    hub.lose_log()
