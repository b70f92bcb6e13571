"""Kafka: how records are written and read here. No other module chooses a client setting."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from store.events import Record
from store.settings import Settings
from store.topic import ensure_once

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT = 5
_CLOSE_TIMEOUT = 5
# An outage shorter than this is ridden out by the producer itself, in order and without doubles.
_DELIVERY_TIMEOUT_MS = 40_000


class BrokerUnavailable(Exception):
    """Kafka did not take the records, or not all, or did not say so: for each it is unknown whether it was written."""


class Publisher:
    """An idempotent producer that connects when it is first needed, and anew after every failure.

    Each time it looks whether the topic is what the settings say: WrongTopic, which is not waited out, if it is not.
    """

    def __init__(self, settings: Settings, topic: str | None = None) -> None:
        self._settings, self._servers = settings, settings.kafka_servers
        self._topic = topic or settings.kafka_topic
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self.up = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._drop()

    async def publish(self, records: Sequence[Record]) -> None:
        """Returns when every record is acknowledged by all in-sync replicas, in this order for each key.

        Raises BrokerUnavailable otherwise; a caller that publishes them again keeps the order and may double some.
        """
        producer = await self._connected()
        try:
            sent = [
                await producer.send(self._topic, record.value, record.key, headers=list(record.headers))
                for record in records
            ]
            await asyncio.gather(*sent)
        except (KafkaError, OSError, TimeoutError) as error:
            # A failed batch leaves a hole in the producer's sequence numbers: only a new producer can go on.
            await self._drop()
            raise BrokerUnavailable(
                f"Kafka at {self._servers} did not take {len(records)} records: {error!r}"
            ) from error
        self.up = True

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers,
                    enable_idempotence=True,
                    acks="all",
                    linger_ms=0,
                    request_timeout_ms=_DELIVERY_TIMEOUT_MS,
                    max_request_size=1024 * 1024,
                )
                try:
                    async with asyncio.timeout(_CONNECT_TIMEOUT):
                        await ensure_once(self._settings)
                        await producer.start()
                except (KafkaError, OSError, TimeoutError) as error:
                    self.up = False
                    await close(producer)
                    raise BrokerUnavailable(f"Kafka at {self._servers} cannot be reached: {error!r}") from error
                self._producer = producer
            return self._producer

    async def _drop(self) -> None:
        producer, self._producer, self.up = self._producer, None, False
        if producer is not None:
            await close(producer)


def open_reader(settings: Settings, *, group: str | None = None) -> AIOKafkaConsumer:
    """A consumer that commits nothing unasked. Without a group it never jumps: an offset that is out of range is an error.

    A group's member begins at the first record where the group has committed nothing, before anybody can tell it otherwise.
    """
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none" if group is None else "earliest",
        # What is fetched ahead is bounded by this for each partition. A group's member may have to wait long for the archive.
        max_partition_fetch_bytes=(4 if group is None else 1) * 1024 * 1024,
        max_poll_interval_ms=300_000,
        request_timeout_ms=10_000,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=1000,
        metadata_max_age_ms=30_000,
        retry_backoff_ms=100,
    )


async def close(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Closes what may never have been opened, within a bound."""
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await client.stop()
