"""Every real server comes back from kill -9, on its port, with everything that it had acknowledged."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiomysql
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import PyMongoError
from redis.asyncio import Redis

from local import servers
from local.process import Failed, Process, State
from local.system import System

Write = Callable[[Process, int], Awaitable[None]]
Read = Callable[[Process], Awaitable[list[int]]]


async def write_kafka(kafka: Process, number: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.env["KAFKA_SERVERS"])
    await admin.start()
    await admin.create_topics([NewTopic("numbers", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka.env["KAFKA_SERVERS"], acks="all") as producer:
        await producer.send_and_wait("numbers", str(number).encode())


async def read_kafka(kafka: Process) -> list[int]:
    partition = TopicPartition("numbers", 0)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.env["KAFKA_SERVERS"]) as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, 0)
        return [int((await consumer.getone()).value or b"-1") for _ in range(end)]


async def write_mongo(mongo: Process, number: int) -> None:
    async with AsyncMongoClient[dict[str, int]](mongo.env["MONGO_URL"]) as client:
        numbers = client["test"].get_collection("numbers", write_concern=WriteConcern(w="majority", j=True))
        await numbers.insert_one({"_id": number})


async def read_mongo(mongo: Process) -> list[int]:
    async with AsyncMongoClient[dict[str, int]](mongo.env["MONGO_URL"]) as client:
        return [found["_id"] async for found in client["test"]["numbers"].find().sort("_id")]


async def write_redis(redis: Process, number: int) -> None:
    async with Redis.from_url(redis.env["REDIS_URL"]) as client:
        await client.rpush("numbers", number)
        await asyncio.sleep(1.5)  # it writes to its disk once a second


async def read_redis(redis: Process) -> list[int]:
    async with Redis.from_url(redis.env["REDIS_URL"]) as client:
        return [int(number) for number in await client.lrange("numbers", 0, -1)]


async def query(dsn: str, *statements: str) -> list[int]:
    """Runs them and returns the first column of what the last one finds."""
    url = urlsplit(dsn)
    async with (
        aiomysql.connect(
            host=url.hostname, port=url.port, user=url.username, password=url.password, db=url.path[1:], autocommit=True
        ) as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            await cursor.execute(statement)
        return [row[0] for row in await cursor.fetchall()]


async def write_mysql(mysql: Process, number: int) -> None:
    create = "CREATE TABLE IF NOT EXISTS numbers (n INT PRIMARY KEY)"
    await query(mysql.env["MYSQL_PRIMARY"], create, f"INSERT INTO numbers VALUES ({number})")  # noqa: S608


async def read_mysql(mysql: Process) -> list[int]:
    return await query(mysql.env["MYSQL_PRIMARY"], "SELECT n FROM numbers ORDER BY n")


@pytest.mark.parametrize(
    ("kind", "write", "read"),
    [
        ("kafka", write_kafka, read_kafka),
        ("mongo", write_mongo, read_mongo),
        ("mysql", write_mysql, read_mysql),
        ("redis", write_redis, read_redis),
    ],
)
async def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path, kind: str, write: Write, read: Read) -> None:
    async with servers.running(kind, tmp_path) as server:
        addresses = server.addresses
        await write(server, 1)

        await server.kill()
        assert server.pid is None
        await server.start()
        await write(server, 2)

        assert await read(server) == [1, 2]
        assert server.addresses == addresses


async def test_mongo_loses_no_acknowledged_write_when_it_is_killed_in_the_midst_of_writing(tmp_path: Path) -> None:
    async with servers.running("mongo", tmp_path) as mongo:
        acknowledged: list[int] = []
        writing = asyncio.create_task(write_until_it_fails(mongo, acknowledged))
        while len(acknowledged) < 50:
            await asyncio.sleep(0.001)

        await mongo.kill()
        await writing
        await mongo.start()

        assert set(acknowledged) <= set(await read_mongo(mongo))


async def write_until_it_fails(mongo: Process, acknowledged: list[int]) -> None:
    client = AsyncMongoClient[dict[str, int]](mongo.env["MONGO_URL"], serverSelectionTimeoutMS=500, retryWrites=False)
    async with client:
        numbers = client["test"].get_collection("numbers", write_concern=WriteConcern(w="majority", j=True))
        with suppress(PyMongoError):
            for number in range(100_000):
                await numbers.insert_one({"_id": number})
                acknowledged.append(number)


async def test_a_replica_follows_refuses_writes_and_goes_on_after_either_is_killed(tmp_path: Path) -> None:
    async with (
        servers.running("mysql-primary", tmp_path) as primary,
        servers.running("mysql-replica", tmp_path) as replica,
    ):
        for number, killed in enumerate((None, primary, replica)):
            if killed is not None:
                await killed.kill()
                await killed.start()
            await write_mysql(primary, number)
            await follows(replica, list(range(number + 1)))

        with pytest.raises(aiomysql.OperationalError, match="read-only"):
            await query(replica.env["MYSQL_REPLICA"], "INSERT INTO numbers VALUES (99)")


async def follows(replica: Process, expected: list[int]) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                if await query(replica.env["MYSQL_REPLICA"], "SELECT n FROM numbers ORDER BY n") == expected:
                    return
            except aiomysql.ProgrammingError:  # the table has not arrived either
                pass
            await asyncio.sleep(0.02)


async def test_the_primary_answers_a_commit_only_when_it_is_on_its_disk(tmp_path: Path) -> None:
    async with servers.running("mysql", tmp_path) as mysql:
        settings = "SELECT @@innodb_flush_log_at_trx_commit * 10 + @@sync_binlog"

        assert await query(mysql.env["MYSQL_PRIMARY"], settings) == [11]


async def test_binary_logs_are_kept_for_two_days_on_both_servers(tmp_path: Path) -> None:
    settings = "SELECT @@binlog_expire_logs_seconds UNION ALL SELECT @@max_binlog_size"
    async with (
        servers.running("mysql-primary", tmp_path) as primary,
        servers.running("mysql-replica", tmp_path) as replica,
    ):
        for dsn in (primary.env["MYSQL_PRIMARY"], replica.env["MYSQL_REPLICA"]):
            assert await query(dsn, settings) == [2 * 86_400, 64 * 1024 * 1024]


async def test_a_server_whose_port_was_taken_moves_and_keeps_what_it_has(tmp_path: Path) -> None:
    async with servers.running("kafka", tmp_path) as kafka:
        await write_kafka(kafka, 1)
        (before,) = kafka.addresses
    squatter = await asyncio.start_server(lambda *_: None, "127.0.0.1", int(before.rpartition(":")[2]))

    async with squatter, servers.running("kafka", tmp_path) as kafka:
        assert kafka.addresses != (before,)
        assert await read_kafka(kafka) == [1]


async def test_a_server_that_cannot_start_tells_what_its_log_says(tmp_path: Path) -> None:
    async with servers.running("mysql", tmp_path):
        pass
    (tmp_path / "data" / "mysql-primary" / "data" / "ibdata1").write_bytes(b"spoilt")

    with pytest.raises(Failed, match=re.compile("ibdata1.*spoilt|ibdata1", re.DOTALL)):
        await servers.start("mysql", tmp_path)


async def test_the_edge_starts_before_any_node_and_its_killed_master_leaves_no_worker(tmp_path: Path) -> None:
    async with System(tmp_path, only=["haproxy"]) as system:
        haproxy = system.processes["haproxy"]
        assert haproxy.pid is not None
        workers = children_of(haproxy.pid)

        await system.kill("haproxy")
        await system.start("haproxy")

        assert workers
        assert not any(is_alive(worker) for worker in workers)
        assert (haproxy.state, haproxy.restarts) == (State.READY, 1)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{system.stats_address}/stats")).status_code == 200
            assert (await client.get(f"{system.address}/v1/me")).status_code == 401


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Not so for one that has ended and whose new parent has not noticed yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
