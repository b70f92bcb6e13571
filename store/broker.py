"""Kafka: how records are written and read here. No other module chooses a client setting."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from store.events import Record
from store.settings import Settings
from store.topic import ensure_once

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5
_CLOSE_SECONDS = 5
# An outage shorter than this is ridden out by the producer itself, in order and without doubles.
_DELIVERY_SECONDS = 20
# A broker that hangs is waited for so long, then its partitions are sent to whoever leads them by now, under the same numbers.
_ANSWER_MS = 10_000


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

    async def connect(self) -> None:
        """Returns when there is a producer, which was connected once. Raises BrokerUnavailable."""
        await self._connected()

    async def publish(self, records: Sequence[Record]) -> None:
        """Returns when every record is acknowledged by all in-sync replicas, in this order for each key; gives up after 20 s.

        Raises BrokerUnavailable otherwise; a caller that publishes them again keeps the order and may double some. Nothing is
        sent any more after it has ended, also when it was cancelled.
        """
        producer = await self._connected()
        try:
            async with asyncio.timeout(_DELIVERY_SECONDS):
                sent = [
                    await producer.send(self._topic, record.value, record.key, headers=list(record.headers))
                    for record in records
                ]
                await asyncio.gather(*sent)
        except BaseException as error:
            # It would go on sending what it holds for ever, and a failed batch leaves a hole in its sequence numbers.
            await self._drop()
            if isinstance(error, KafkaError | OSError | TimeoutError):
                raise BrokerUnavailable(
                    f"Kafka at {self._servers} did not take {len(records)} records: {error!r}"
                ) from error
            raise
        self.up = True

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers,
                    enable_idempotence=True,
                    acks="all",
                    linger_ms=0,
                    request_timeout_ms=_ANSWER_MS,
                    max_request_size=1024 * 1024,
                )
                # While a partition has no leader, else no longer than for an answer.
                producer._message_accumulator._batch_ttl = _DELIVERY_SECONDS
                try:
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        await ensure_once(self._settings)
                        await producer.start()
                except BaseException as error:
                    self.up = False
                    await _abandon(producer)
                    if isinstance(error, KafkaError | OSError | TimeoutError):
                        raise BrokerUnavailable(f"Kafka at {self._servers} cannot be reached: {error!r}") from error
                    raise
                self._producer = producer
            return self._producer

    async def _drop(self) -> None:
        producer, self._producer, self.up = self._producer, None, False
        if producer is not None:
            await _abandon(producer)


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
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
        metadata_max_age_ms=30_000,
        retry_backoff_ms=100,
    )


async def close(reader: AIOKafkaConsumer) -> None:
    """Closes what may never have been opened, within a bound; nothing of it goes on afterwards."""
    try:
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await reader.stop()
    finally:
        await _end(reader._client, reader._coordinator, reader._fetcher)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Ends it with what it holds: its own `stop` sends that first, for as long as Kafka is away."""
    producer._closed = True
    await _end(producer.client, producer._sender)


async def _end(client: Any, *parts: object) -> None:
    """Ends a client of aiokafka and every task of these parts of it: it does not know all of them itself."""
    tasks = [task for task in asyncio.all_tasks() if (owner := _owner(task)) is not None and owner in parts]
    for task in tasks:
        task.cancel()
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            if tasks:
                await asyncio.wait(tasks)
            await client.close()


def _owner(task: "asyncio.Task[Any]") -> object:
    """Whose method the task runs; None if it is no method."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame else None
