"""The topic as we expect it: made by us if it is missing, refused if it is something else, and known by its epoch."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from store.settings import Settings
from store.topic_ids import describe_topics

log = logging.getLogger(__name__)

_TOPIC_ALREADY_EXISTS = 36
_TIMEOUT = 10
_CLOSE_SECONDS = 5


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

    Raises WrongTopic if the topic is not what the settings say, or would lose events.
    """
    delay = 0.1
    while True:
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await ensure_once(settings)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning(
                "Kafka at %s does not answer yet (%r); trying again in %.1f s", settings.kafka_servers, error, delay
            )
        await asyncio.sleep(delay)
        delay = min(delay * 2, 2)


async def ensure_once(settings: Settings) -> Topic:
    """The same, asked of Kafka once. Raises KafkaError, OSError, TimeoutError and WrongTopic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_servers, request_timeout_ms=5000)
    try:
        await admin.start()
        wanted = {settings.kafka_topic: settings.kafka_partitions, settings.kafka_dead_topic: 1}
        known = await _describe(admin, list(wanted))
        missing = {name: partitions for name, partitions in wanted.items() if name not in known}
        if missing:
            await _create(admin, missing, settings)
            known = await _describe(admin, list(wanted))
        if settings.kafka_topic not in known:
            raise TimeoutError(f"topic {settings.kafka_topic} was made and is not visible yet")
        topic, copies = known[settings.kafka_topic]
        faults = [*_faults(topic, copies, settings), *_config_faults(await _config(admin, topic.name), settings)]
    finally:
        # A caller that has waited long enough comes here, and is not cancelled a second time.
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await admin.close()
    if faults:
        raise WrongTopic(f"topic {topic.name} is not as expected: " + "; ".join(faults))
    return topic


def _faults(topic: Topic, copies: int, settings: Settings) -> list[str]:
    faults = []
    if topic.partitions != settings.kafka_partitions:
        faults.append(
            f"it has {topic.partitions} partitions and KAFKA_PARTITIONS says {settings.kafka_partitions}: "
            "set it to what the topic has, for every process, and start them again (the number is to be fixed when the topic is "
            "made: where partitions are added, what an author did before and after has no order), or name another KAFKA_TOPIC"
        )
    if copies < settings.kafka_replication:
        faults.append(
            f"it has {copies} copies and KAFKA_REPLICATION says {settings.kafka_replication}: "
            "add copies with kafka-reassign-partitions.sh, or set KAFKA_REPLICATION to what there is"
        )
    return faults


def _config_faults(config: Mapping[str, str], settings: Settings) -> list[str]:
    """What would lose events: old ones dropped, all but the newest of an author dropped, or too few copies of each."""
    insync = max(1, settings.kafka_replication - 1)
    faults = []
    if config["cleanup.policy"] != "delete":
        faults.append(
            f"cleanup.policy is {config['cleanup.policy']}: set it to delete with kafka-configs.sh, or events are lost"
        )
    if int(config["retention.ms"]) != settings.kafka_retention_ms:
        faults.append(
            f"retention.ms is {config['retention.ms']} and KAFKA_RETENTION_MS says {settings.kafka_retention_ms}: "
            "change the one with kafka-configs.sh, or the other (with less than everything, -1, there is no rebuilding from Kafka)"
        )
    if int(config["min.insync.replicas"]) < insync:
        faults.append(
            f"min.insync.replicas is {config['min.insync.replicas']}: set it to {insync} with kafka-configs.sh"
        )
    return faults


async def _config(admin: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    asked = dict.fromkeys(("cleanup.policy", "retention.ms", "min.insync.replicas"))
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name, asked)])
    code, message, _, _, entries = answer.resources[0][:5]
    if code:
        raise KafkaError(f"Kafka does not tell the settings of topic {name}: error {code} {message or ''}")
    return {entry[0]: entry[1] for entry in entries}


async def _create(admin: AIOKafkaAdminClient, wanted: dict[str, int], settings: Settings) -> None:
    replication = settings.kafka_replication
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(settings.kafka_retention_ms),
        "min.insync.replicas": str(max(1, replication - 1)),
    }
    topics = [NewTopic(name, partitions, replication, topic_configs=config) for name, partitions in wanted.items()]
    answer = await admin.create_topics(topics)
    for name, code, *rest in answer.topic_errors:
        if code not in (0, _TOPIC_ALREADY_EXISTS):
            raise KafkaError(f"Kafka did not make topic {name}: error {code} {rest[0] if rest else ''}")


async def _describe(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, tuple[Topic, int]]:
    """The topics that exist, each with how many copies there are of its partitions."""
    found = await describe_topics(admin._client, names)
    return {name: (Topic(name, partitions, topic_id[:8]), copies) for name, partitions, topic_id, copies in found}
