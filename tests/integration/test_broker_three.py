"""One of three brokers hangs, then another dies, under load: a bounded wait, nothing lost, doubled or turned round (G1, G2)."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from store import broker
from store.broker import Publisher, open_reader
from store.events import Record
from store.process import cancel
from store.settings import Settings
from store.topic import ensure_topics
from tests.integration.conftest import settings_of
from tests.integration.kafka_cluster import three_brokers

AUTHORS = 24


@dataclass
class Load:
    """Batches with a record of each author, one after the other, as the outbox publishes them."""

    settings: Settings
    batches: int = 0
    longest: float = 0.0  # seconds for one
    begun: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        async with Publisher(self.settings) as publisher:
            while True:
                self.begun, number = time.monotonic(), str(self.batches).encode()
                await publisher.publish([Record(str(author).encode(), number, ()) for author in range(AUTHORS)])
                self.longest = max(self.longest, time.monotonic() - self.begun)
                self.batches += 1

    async def goes_on(self, running: "asyncio.Task[None]") -> None:
        """Returns when batches are acknowledged that began after now."""
        now, batches = time.monotonic(), self.batches
        async with asyncio.timeout(40):
            while self.begun < now or self.batches < batches + 5:
                if running.done():
                    running.result()
                await asyncio.sleep(0.05)


async def read_all(settings: Settings, batches: int) -> dict[bytes, list[int]]:
    """What was written of each author, at least so many each: behind that may stand a batch that was cut off."""
    reader = open_reader(settings)
    await reader.start()
    found: dict[bytes, list[int]] = defaultdict(list)
    try:
        partitions = [TopicPartition(settings.kafka_topic, number) for number in range(settings.kafka_partitions)]
        reader.assign(partitions)
        await reader.seek_to_beginning(*partitions)
        async with asyncio.timeout(30):
            while len(found) < AUTHORS or min(map(len, found.values())) < batches:
                record = await reader.getone()
                found[record.key].append(int(record.value))
    finally:
        await reader.stop()
    return found


async def test_g1_g2_one_of_three_brokers_hangs_and_another_dies_under_load(
    tmp_path: Path, names: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_ANSWER_MS", 4000)
    async with three_brokers(tmp_path) as (brokers, servers):
        settings = settings_of({**names, "kafka_servers": servers, "kafka_replication": 3, "kafka_partitions": 6})
        async with asyncio.timeout(60):
            await ensure_topics(settings)
        load = Load(settings)
        running = asyncio.create_task(load.run())
        await load.goes_on(running)
        brokers[0].freeze()
        await load.goes_on(running)
        hanging = load.longest
        brokers[0].thaw()
        await load.goes_on(running)
        await brokers[1].kill()
        await load.goes_on(running)
        await cancel(running)
        found = await read_all(settings, load.batches)

    assert hanging < 4 + 5, "a broker that hangs is waited for once"
    assert len(found) == AUTHORS
    for author, numbers in found.items():
        assert numbers[: load.batches] == list(range(load.batches)), author
