"""Three real brokers, each a controller too, as compose has them: three copies of everything, of which two must be in step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local.install_kafka import ensure_kafka
from local.kafka_settings import CLUSTER_ID, JVM_OPTIONS, server_properties
from local.place import Place
from local.ports import free_port
from local.process import Process
from local.spec import Spec

_BROKERS = (1, 2, 3)


@asynccontextmanager
async def three_brokers(directory: Path) -> AsyncIterator[tuple[list[Process], str]]:
    """The brokers, and where clients find them. A port that listens is all that was waited for: topics take a moment more."""
    taken: set[int] = set()
    for _ in range(6):
        taken.add(free_port(taken))
    ports = sorted(taken)
    doors, controllers = dict(zip(_BROKERS, ports[:3], strict=True)), dict(zip(_BROKERS, ports[3:], strict=True))
    voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in controllers.items())
    brokers = [_broker(directory, number, doors[number], controllers[number], voters) for number in _BROKERS]
    try:
        await asyncio.gather(*(broker.start() for broker in brokers))
        yield brokers, ",".join(f"127.0.0.1:{port}" for port in doors.values())
    finally:
        await asyncio.gather(*(broker.kill() for broker in brokers))
        await asyncio.gather(*(broker.stop() for broker in brokers))


def _broker(directory: Path, number: int, port: int, controller_port: int, voters: str) -> Process:
    kafka = ensure_kafka(Place.at(directory).software)
    home = directory / f"kafka-{number}"
    home.mkdir(parents=True)
    properties = home / "server.properties"
    alone = server_properties(home / "log", port, controller_port).splitlines()
    more = [
        f"node.id={number}",
        f"controller.quorum.voters={voters}",
        "offsets.topic.replication.factor=3",
        "transaction.state.log.replication.factor=3",
        "transaction.state.log.min.isr=2",
    ]
    lines = [line for line in alone if not line.startswith("controller.quorum.bootstrap")]
    properties.write_text("\n".join([*lines, *more]))
    base = kafka.command(*JVM_OPTIONS, log4j=home / "log4j2.properties")

    async def prepare() -> None:
        storage = ("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", str(properties))
        pipe = asyncio.subprocess.PIPE
        tool = await asyncio.create_subprocess_exec(*base, *storage, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
        said, _ = await asyncio.wait_for(tool.communicate(), 60)
        assert tool.returncode == 0, said.decode()

    async def ready() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    spec = Spec(f"kafka-{number}", (*base, "kafka.Kafka", str(properties)), ready, prepare=prepare)
    return Process(spec, home / "log.txt", lambda *_: None, respawn=False)
