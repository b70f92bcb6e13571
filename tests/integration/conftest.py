"""One real server of each kind, started when the first test asks for it; names are random, so that tests share them."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from local import servers
from local.process import Process
from store.settings import Settings


def started(kind: str) -> object:
    @pytest.fixture(scope="session", name=kind.replace("-", "_"))
    async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Process]:
        async with servers.running(kind, tmp_path_factory.mktemp(kind)) as running:
            yield running

    return server


kafka, mongo, redis = started("kafka"), started("mongo"), started("redis")


@pytest.fixture(scope="session")
async def mysql(tmp_path_factory: pytest.TempPathFactory, redis: Process) -> AsyncIterator[dict[str, Process]]:
    """A primary and its replica, and Redis, which the API needs beside them; by kind."""
    directory = tmp_path_factory.mktemp("mysql")
    async with servers.running("mysql", directory) as primary, servers.running("mysql-replica", directory) as replica:
        yield {"mysql": primary, "mysql-replica": replica, "redis": redis}


@pytest.fixture
def names() -> dict[str, object]:
    """Names of a topic and a database that no other test uses."""
    mark = uuid4().hex[:8]
    return {"kafka_topic": f"events.{mark}", "kafka_dead_topic": f"dead.{mark}", "mongo_database": f"test-{mark}"}


def settings_of(names: dict[str, object], *running: Process) -> Settings:
    """Settings that name these servers and these names."""
    told = {name.lower(): value for server in running for name, value in server.env.items()}
    return Settings.model_validate(
        {"edge_secret": "a secret of the tests", "token_keys": Path("/nowhere"), **told, **names}
    )
