"""The outbox with the real Kafka: what the list that stands for it elsewhere promises, kept by the real one (G1, G2, G7)."""

import asyncio
import time
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from api import outbox
from api.settings import ApiSettings
from local.process import Process
from store import broker
from store.events import EventType, decode, parse_arrival
from store.topic import ensure_topics
from tests.integration.api_outages import away
from tests.integration.api_support import Api, Person, make_settings, running_api, until

PARTITIONS = 3


@pytest.fixture(scope="module")
def all_servers(mysql: dict[str, Process], kafka: Process) -> dict[str, Process]:
    return {**mysql, "kafka": kafka}


@pytest.fixture(scope="module")
async def kafka_settings(all_servers: dict[str, Process], tmp_path_factory: pytest.TempPathFactory) -> ApiSettings:
    env = {name: value for server in all_servers.values() for name, value in server.env.items() if "ADMIN" not in name}
    topic = f"events.{uuid4().hex[:8]}"
    settings = make_settings(
        tmp_path_factory.mktemp("api"),
        env,
        kafka_partitions=PARTITIONS,
        kafka_topic=topic,
        kafka_dead_topic=f"{topic}.dead",
    )
    await ensure_topics(settings)
    return settings


async def written(
    settings: ApiSettings, person: Person, count: int = 0, within: float = 30.0, *, last: str | None = None
) -> list[str]:
    """The author's first `count` posts, or all up to one, as anybody who understands our records reads them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_servers, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(settings.kafka_topic, number) for number in range(PARTITIONS)])
    await consumer.start()
    texts: list[str] = []
    try:
        async with asyncio.timeout(within):
            while last not in texts if last else len(texts) < count:
                record = await consumer.getone()
                arrival = parse_arrival(record.partition, record.offset, record.key, record.value, record.headers)
                if arrival.actor == person.id and arrival.type is EventType.POST:
                    texts.append(decode(arrival.value)["object"]["text"])  # type: ignore[index]
    finally:
        await consumer.stop()
    return texts


async def post_all(api: Api, person: Person, count: int, *, longer: int = 0) -> list[str]:
    texts = [f"{time.monotonic()} {'x' * longer}".strip() for _ in range(count)]
    for text in texts:
        assert (await api.post(person, text)).status == 201
    return texts


async def test_posts_of_two_processes_arrive_in_their_order(kafka_settings: ApiSettings) -> None:
    async with running_api(kafka_settings, kafka=True) as one, running_api(kafka_settings, kafka=True) as other:
        person = await one.person()
        texts = []
        for number in range(40):
            texts += await post_all((one, other)[number % 2], person, 1)

        assert await written(kafka_settings, person, 40) == texts


async def test_g1_g7_with_kafka_killed_under_load_everything_arrives_in_order_when_it_is_back(
    kafka_settings: ApiSettings, all_servers: dict[str, Process]
) -> None:
    async with running_api(kafka_settings, kafka=True) as api:
        person = await api.person()
        texts = await post_all(api, person, 20)
        await all_servers["kafka"].kill()
        texts += await post_all(api, person, 20)
        await until(lambda: api.parts.outbox.waiting > 0)
        assert (await api.call("GET", "/readyz")).status == 200
        await all_servers["kafka"].start()
        texts += await post_all(api, person, 20)

        assert list(dict.fromkeys(await written(kafka_settings, person, 60))) == texts
        await until(lambda: api.parts.outbox.waiting == 0, 30)


async def metric(api: Api, name: str) -> float:
    lines = (await api.call("GET", "/metrics")).body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def measured(api: Api) -> tuple[float, float, float]:
    """How many events wait, how long the oldest has, and how often telling has failed."""
    names = ("outbox_waiting", "outbox_oldest_seconds", "outbox_failures_total")
    waiting, oldest, failures = [await metric(api, f"stickyfeed_{name}") for name in names]
    return waiting, oldest, failures


def senders() -> "set[asyncio.Task[Any]]":
    """Tasks of this process that send to Kafka, or would."""
    return {task for task in asyncio.all_tasks() if "Sender." in task.get_coro().__qualname__}  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_g1_g7_with_kafka_away_for_longer_than_anybody_waits_no_write_is_refused_and_nothing_is_sent_behind_our_back(
    kafka_settings: ApiSettings, all_servers: dict[str, Process], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(broker, "_DELIVERY_SECONDS", 2)
    monkeypatch.setattr(outbox, "_ANSWER_SECONDS", 1)
    given_up: list[int] = []
    others = senders()  # of tests that are not over
    async with running_api(kafka_settings, kafka=True) as api:
        person = await api.person()
        texts = await post_all(api, person, 5)
        await until(lambda: len(senders() - others) == 1)
        _, _, failures = await measured(api)
        async with away(all_servers["kafka"], how):
            began = time.monotonic()
            while time.monotonic() < began + 6 or not given_up:
                assert time.monotonic() < began + 30, "the producer that holds what is sent anew must be gone"
                # A batch of a partition holds 16 KB.
                texts += await post_all(api, person, 5, longer=900)
                assert api.parts.database.primary.up
                given_up += [] if senders() - others else [len(texts)]
                await asyncio.sleep(0.1)
            waits, oldest, failed = await measured(api)
            assert (waits > 10, oldest > 3, failed > failures) == (True, True, True), (waits, oldest, failed)
            ready = (await api.call("GET", "/readyz")).body["outbox"]
            assert (ready["waiting"] >= waits, ready["oldest_seconds"] >= round(oldest, 1)) == (True, True), ready
        last = await post_all(api, person, 1)

        got = await written(kafka_settings, person, last=last[0])
        assert list(dict.fromkeys(got)) == texts + last
        assert max(Counter(got).values()) <= 2
        await until(lambda: api.parts.outbox.waiting == 0)
        await until(lambda: len(senders() - others) == 1)
        assert (await measured(api))[:2] == (0.0, 0.0)
    assert senders() <= others


async def test_g7_a_process_that_starts_while_kafka_is_away_tells_it_later(
    kafka_settings: ApiSettings, all_servers: dict[str, Process]
) -> None:
    await all_servers["kafka"].kill()
    async with running_api(kafka_settings, kafka=True) as api:
        person = await api.person()
        texts = await post_all(api, person, 5)
        await all_servers["kafka"].start()

        assert await written(kafka_settings, person, 5) == texts


async def test_what_was_committed_is_told_at_once_and_not_by_the_sweep(
    kafka_settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_LOOK_SECONDS", 3600.0)  # nothing is ever swept
    async with running_api(kafka_settings, kafka=True) as api:
        person = await api.person()
        texts = await post_all(api, person, 6)

        assert await written(kafka_settings, person, 6) == texts
