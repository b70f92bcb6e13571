"""Apache Kafka: one node in KRaft mode, broker and controller in one process."""

import asyncio
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from local.install_kafka import Kafka, ensure_kafka
from local.kafka_settings import CLUSTER_ID, JVM_OPTIONS, server_properties
from local.site import Site
from local.spec import Spec

_FORMAT_WITHIN = 60
_READY_TOPIC = "local.ready"


def spec(site: Site, name: str = "kafka-1") -> Spec:
    """Ready when a record has been written: an open port alone means nothing."""
    kafka = ensure_kafka(site.place.software)
    directory = site.data(name)
    properties = directory / "server.properties"

    async def prepare() -> None:
        properties.write_text(server_properties(directory / "log", site.ports[name], site.ports[f"{name}-controller"]))
        if not (directory / "log" / "meta.properties").exists():
            await _format(kafka, properties)

    async def ready() -> None:
        await _produce(site.at_port(name))

    return Spec(
        name=name,
        command=(*kafka.command(*JVM_OPTIONS, log4j=directory / "log4j2.properties"), "kafka.Kafka", str(properties)),
        prepare=prepare,
        offers={"KAFKA_SERVERS": site.at_port(name)},
        addresses=(site.at_port(name),),
        ready=ready,
        stop_within=20,
    )


async def _format(kafka: Kafka, properties: Path) -> None:
    command = (
        *kafka.command(*JVM_OPTIONS, log4j=properties.with_name("log4j2.properties")),
        "kafka.tools.StorageTool",
        *("format", "--ignore-formatted", "--standalone", "-t", CLUSTER_ID, "-c", str(properties)),
    )
    tool = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(tool.communicate(), _FORMAT_WITHIN)
    except TimeoutError:
        tool.kill()
        raise RuntimeError(f"formatting {properties.parent} took more than {_FORMAT_WITHIN} s") from None
    if tool.returncode != 0:
        raise RuntimeError(f"formatting {properties.parent} failed: {said.decode(errors='replace')[-2000:]}")


async def _produce(servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=3000)
    try:
        await admin.start()
        topic = NewTopic(_READY_TOPIC, 1, 1, topic_configs={"retention.ms": "3600000"})
        await admin.create_topics([topic])  # answered 36, without an exception, if it is there
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", request_timeout_ms=3000)
    try:
        await producer.start()
        await producer.send_and_wait(_READY_TOPIC, b"ready")
    finally:
        if sender := producer._sender.sender_task:
            sender.cancel()  # `stop` would first send what was not taken, and leave it running when nobody waits any longer
        await producer.stop()
