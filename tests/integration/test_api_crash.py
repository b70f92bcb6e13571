"""Real API processes, killed at the worst moments: what was answered is told (G1) in order (G2), the rest can be asked again."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from api.pool import Pool
from api.rows import fetch_one
from api.settings import Dsn
from local.http_check import expect_200
from local.place import PROJECT
from local.ports import free_port
from local.process import Process
from local.spec import Spec
from store.events import decode
from store.settings import Settings
from store.topic import ensure_topics
from tests.integration.api_outages import admin, frozen
from tests.integration.api_support import EDGE_SECRET, PASSWORD, make_keys


@dataclass(frozen=True, slots=True)
class Place:
    """The servers of this file, and two API processes on them."""

    servers: dict[str, Process]
    apis: tuple[Process, Process]
    settings: Settings
    client: httpx.AsyncClient
    primary: Pool

    async def call(self, number: int, path: str, body: object, *, token: str = "", key: str = "") -> httpx.Response:
        headers = {"X-Edge-Secret": self.settings.edge_secret.get_secret_value()}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Idempotency-Key": f'"{key}"'} if key else {}
        return await self.client.post(f"{self.apis[number].addresses[0]}{path}", json=body, headers=headers)

    async def person(self) -> tuple[int, str]:
        """Id and token of somebody new."""
        body = {"username": f"u-{uuid4().hex[:12]}", "password": PASSWORD, "passwordConfirm": PASSWORD}
        answer = await self.call(0, "/v1/auth/sign-up", body)
        assert answer.status_code == 201, answer.text
        return answer.json()["userId"], answer.json()["token"]

    async def posts(self, uid: int) -> int:
        async with self.primary.connection(5) as conn:
            (count,) = await fetch_one(conn, "SELECT COUNT(*) FROM posts WHERE author = %s", uid) or (-1,)
        return int(count)

    async def told(self, uid: int, count: int) -> list[str]:
        """Texts of the author's first `count` posts in Kafka, each event once by its id."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_servers, auto_offset_reset="earliest")
        consumer.assign([TopicPartition(self.settings.kafka_topic, n) for n in range(self.settings.kafka_partitions)])
        await consumer.start()
        found: dict[str, str] = {}
        try:
            async with asyncio.timeout(40):
                while len(found) < count:
                    event: Any = decode((await consumer.getone()).value)
                    if event["actor"]["id"] == uid and event["type"] == "post":
                        found.setdefault(event["id"], event["object"]["text"])
        finally:
            await consumer.stop()
        return list(found.values())


def api_process(name: str, directory: Path, env: dict[str, str]) -> Process:
    at = f"127.0.0.1:{free_port()}"
    spec = Spec(
        name,
        (sys.executable, "-m", "api"),
        ready=lambda: expect_200(at, "/readyz"),
        addresses=(f"http://{at}",),
        environment={**env, "API_BIND": at},
        cwd=str(PROJECT),
    )
    return Process(spec, directory / f"{name}.log", lambda *_: None, respawn=False)


@pytest.fixture(scope="module")
async def place(
    mysql: dict[str, Process], kafka: Process, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    directory, topic = tmp_path_factory.mktemp("crash"), f"events.{uuid4().hex[:8]}"
    started = {**mysql, "kafka": kafka}
    env = {name: value for server in started.values() for name, value in server.env.items() if "ADMIN" not in name}
    env |= {
        **make_keys(directory),
        "EDGE_SECRET": EDGE_SECRET,
        "KAFKA_TOPIC": topic,
        "KAFKA_DEAD_TOPIC": f"{topic}.dead",
    }
    settings = Settings.model_validate({name.lower(): value for name, value in env.items()})
    await ensure_topics(settings)
    apis = api_process("one", directory, env), api_process("other", directory, env)
    await asyncio.gather(*(process.start() for process in apis))
    dsn = Dsn.parse(env["MYSQL_PRIMARY"])
    async with httpx.AsyncClient(timeout=20) as client, Pool("primary", dsn) as primary:
        yield Place(started, apis, settings, client, primary)
    await asyncio.gather(*(process.stop() for process in apis))


async def test_g1_g2_processes_killed_between_commit_and_kafka_lose_nothing_and_turn_nothing_round(
    place: Place,
) -> None:
    uid, token = await place.person()
    async with frozen(place.servers["kafka"]):
        for number in range(30):
            answer = await place.call(number % 2, "/v1/posts", {"text": str(number)}, token=token)
            assert answer.status_code == 201
        for process in place.apis:
            await process.kill()
    for process in place.apis:
        await process.start()

    assert await place.told(uid, 30) == [str(number) for number in range(30)]


async def test_g1_a_post_whose_answer_died_with_its_process_is_made_once_when_it_is_sent_again(place: Place) -> None:
    uid, token = await place.person()
    key, body = str(uuid4()), {"text": "once"}
    # Redis is asked for a moment between the commit and the answer: while it stands still, that moment is long. It goes on until
    # the post waits for its author's row, which is the test's: else the session would be asked for first, and Redis given up.
    async with admin(place.servers["mysql"]) as conn, conn.cursor() as cursor:
        await conn.begin()
        await cursor.execute("SELECT id FROM users WHERE id = %s FOR UPDATE", (uid,))
        sending = asyncio.create_task(place.call(0, "/v1/posts", body, token=token, key=key))
        async with asyncio.timeout(20):
            while not await is_waited_for(place.servers["mysql"]):
                await asyncio.sleep(0.2)  # InnoDB answers anew only to who has not asked for 0.1 s
        async with frozen(place.servers["redis"]):
            await conn.rollback()
            async with asyncio.timeout(20):
                while not await place.posts(uid):
                    assert not sending.done()
            await place.apis[0].kill()
            with pytest.raises(httpx.HTTPError):
                await sending
    again = [await place.call(1, "/v1/posts", body, token=token, key=key) for _ in range(2)]
    await place.apis[0].start()
    again.append(await place.call(0, "/v1/posts", body, token=token, key=key))

    assert [answer.status_code for answer in again] == [201] * 3
    assert len({answer.text for answer in again}) == 1
    assert await place.posts(uid) == 1
    assert (await place.call(1, "/v1/posts", {"text": "the end"}, token=token)).status_code == 201
    assert await place.told(uid, 2) == ["once", "the end"]


async def is_waited_for(server: Process) -> bool:
    """Whether somebody waits for a row that another has locked."""
    async with admin(server) as conn, conn.cursor() as cursor:
        await cursor.execute("SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'")
        return bool(await cursor.fetchone())
