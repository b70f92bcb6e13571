"""Kafka, for real: the topic is what we expect, and what is acknowledged is there in order."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from local.process import Process
from store.broker import BrokerUnavailable, Publisher, open_reader
from store.events import Record
from store.settings import Settings
from store.topic import Topic, WrongTopic, ensure_topics
from tests.integration.conftest import settings_of


@pytest.fixture
def settings(kafka: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka)


async def read_all(settings: Settings, count: int) -> AsyncIterator[tuple[int, bytes, bytes]]:
    reader = open_reader(settings)
    await reader.start()
    try:
        at = [TopicPartition(settings.kafka_topic, p) for p in range(settings.kafka_partitions)]
        reader.assign(at)
        await reader.seek_to_beginning(*at)
        async with asyncio.timeout(20):
            for _ in range(count):
                record = await reader.getone()
                yield record.partition, record.key, record.value
    finally:
        await reader.stop()


async def test_the_topic_is_made_once_and_known_by_its_epoch(settings: Settings) -> None:
    made, again = await ensure_topics(settings), await asyncio.gather(ensure_topics(settings), ensure_topics(settings))

    assert made == Topic(settings.kafka_topic, 3, made.epoch)
    assert len(bytes.fromhex(made.epoch)) == 4
    assert list(again) == [made, made]


async def test_a_topic_deleted_and_made_anew_has_another_epoch(settings: Settings) -> None:
    before = await ensure_topics(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    await admin.start()
    await admin.delete_topics([settings.kafka_topic])
    await admin.close()

    async with asyncio.timeout(20):
        while (await ensure_topics(settings)).epoch == before.epoch:
            await asyncio.sleep(0.2)


async def test_a_topic_with_other_partitions_is_refused_with_the_remedy(settings: Settings) -> None:
    await ensure_topics(settings)

    with pytest.raises(WrongTopic, match="has 3 partitions and KAFKA_PARTITIONS says 5"):
        await ensure_topics(settings.model_copy(update={"kafka_partitions": 5}))


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"cleanup.policy": "compact", "retention.ms": "-1"}, "cleanup.policy is compact: set it to delete"),
        ({"retention.ms": "1000"}, "retention.ms is 1000 and KAFKA_RETENTION_MS says -1: change the one"),
    ],
)
async def test_a_topic_that_would_lose_events_is_refused_by_all_with_the_remedy(
    settings: Settings, config: dict[str, str], why: str
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    await admin.start()
    await admin.create_topics([NewTopic(settings.kafka_topic, 3, 1, topic_configs=config)])
    await admin.close()

    with pytest.raises(WrongTopic, match=why):
        await ensure_topics(settings)
    async with Publisher(settings) as publisher:
        with pytest.raises(WrongTopic, match=why):
            await publisher.publish([Record(b"1", b"x", ())])


async def test_a_topic_with_too_few_copies_is_refused_with_the_remedy(settings: Settings) -> None:
    await ensure_topics(settings)

    with pytest.raises(
        WrongTopic, match=r"has 1 copies and KAFKA_REPLICATION says 3.*min.insync.replicas is 1: set it to 2"
    ):
        await ensure_topics(settings.model_copy(update={"kafka_replication": 3}))


async def test_what_is_acknowledged_is_there_in_order_for_each_key(settings: Settings) -> None:
    await ensure_topics(settings)
    records = [Record(str(n % 7).encode(), str(n).encode(), (("id", b"x"),)) for n in range(500)]
    async with Publisher(settings) as publisher:
        await publisher.publish(records)
        assert publisher.up

    got = [(key, value) async for _, key, value in read_all(settings, 500)]

    for key in {record.key for record in records}:
        assert [value for k, value in got if k == key] == [record.value for record in records if record.key == key]


async def test_a_publisher_says_that_kafka_is_away_and_goes_on_when_it_is_back(
    kafka: Process, settings: Settings
) -> None:
    await ensure_topics(settings)
    async with Publisher(settings) as publisher:
        await kafka.kill()
        with pytest.raises(BrokerUnavailable, match="cannot be reached"):
            await publisher.publish([Record(b"1", b"lost", ())])
        assert not publisher.up

        await kafka.start()
        await publisher.publish([Record(b"1", b"kept", ())])

    assert [value async for _, _, value in read_all(settings, 1)] == [b"kept"]
