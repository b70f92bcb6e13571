"""The topic as we expect it: made by us if it is missing, refused if it is something else, and known by its epoch."""

import asyncio
import logging
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from store.settings import Settings
from store.topic_ids import describe_topics

log = logging.getLogger(__name__)

_TOPIC_ALREADY_EXISTS = 36
_TIMEOUT = 10
_RETENTION_MS = -1  # Kafka keeps every event: MongoDB can be rebuilt from it


class WrongTopic(Exception):
    """The topic exists and is not what the settings say; the text names both and the remedy."""


@dataclass(frozen=True, slots=True)
class Topic:
    """`epoch`, 8 hexadecimal digits, changes when the topic is deleted and made anew: cursors of the old one mean nothing then."""

    name: str
    partitions: int
    epoch: str


async def ensure_topics(settings: Settings) -> Topic:
    """The events topic, made if it was missing, as is the dead-letter topic. Waits for Kafka as long as it takes.

    Raises WrongTopic if the topic has another number of partitions than KAFKA_PARTITIONS.
    """
    delay = 0.1
    while True:
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await _ensure_once(settings)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning(
                "Kafka at %s does not answer yet (%r); trying again in %.1f s", settings.kafka_servers, error, delay
            )
        await asyncio.sleep(delay)
        delay = min(delay * 2, 2)


async def _ensure_once(settings: Settings) -> Topic:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_servers, request_timeout_ms=5000)
    try:
        await admin.start()
        wanted = {settings.kafka_topic: settings.kafka_partitions, settings.kafka_dead_topic: 1}
        known = await _describe(admin, list(wanted))
        missing = {name: partitions for name, partitions in wanted.items() if name not in known}
        if missing:
            await _create(admin, missing, settings.kafka_replication)
            known = await _describe(admin, list(wanted))
    finally:
        await admin.close()
    if settings.kafka_topic not in known:
        raise TimeoutError(f"topic {settings.kafka_topic} was made and is not visible yet")
    topic = known[settings.kafka_topic]
    if topic.partitions != settings.kafka_partitions:
        raise WrongTopic(
            f"topic {topic.name} has {topic.partitions} partitions and KAFKA_PARTITIONS says {settings.kafka_partitions}: "
            "set it to what the topic has (the number is fixed when the topic is made), or name another KAFKA_TOPIC"
        )
    return topic


async def _create(admin: AIOKafkaAdminClient, wanted: dict[str, int], replication: int) -> None:
    config = {"retention.ms": str(_RETENTION_MS), "min.insync.replicas": str(max(1, replication - 1))}
    topics = [NewTopic(name, partitions, replication, topic_configs=config) for name, partitions in wanted.items()]
    answer = await admin.create_topics(topics)
    for name, code, *rest in answer.topic_errors:
        if code not in (0, _TOPIC_ALREADY_EXISTS):
            raise KafkaError(f"Kafka did not make topic {name}: error {code} {rest[0] if rest else ''}")


async def _describe(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, Topic]:
    found = await describe_topics(admin._client, names)
    return {name: Topic(name, partitions, topic_id[:8]) for name, partitions, topic_id in found}
