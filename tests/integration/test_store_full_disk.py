"""MongoDB answers, but cannot write: the storekeeper waits, says why, and goes on where it stood."""

from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from local.process import Process
from store.archive import open_archive
from store.settings import Settings
from tests.integration.conftest import settings_of
from tests.integration.test_storekeeper import keeping, kept, publish, record, until

_OUT_OF_DISK_SPACE = 14031  # MongoDB's error_codes.yml


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)


async def test_a_full_disk_is_waited_out_told_and_costs_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = AsyncCollection.insert_many

    async def full(self: AsyncCollection[Any], documents: list[dict[str, Any]], **how: Any) -> Any:
        """Half of it fits; the rest is refused as mongod refuses it."""
        half = len(documents) // 2
        if half:
            await really(self, documents[:half], **how)
        error = {"index": half, "code": _OUT_OF_DISK_SPACE, "errmsg": "No space left on device", "op": {}}
        raise BulkWriteError({"writeErrors": [error], "writeConcernErrors": [], "nInserted": half})

    async with open_archive(settings) as archive, keeping(settings) as keeper:
        await publish(settings, *[record(author, id=1, text="x") for author in range(1, 31)])
        await until(kept(archive, list(range(1, 31)), 30))
        monkeypatch.setattr(AsyncCollection, "insert_many", full)
        await publish(settings, *[record(author, id=2, text="y") for author in range(1, 31)])

        async def says_why() -> bool:
            return "No space left on device" in keeper.state

        await until(says_why)
        before = await archive.progress()
        assert sum(before.offsets) == 30, "what is not kept is not counted as kept"

        monkeypatch.setattr(AsyncCollection, "insert_many", really)
        await until(kept(archive, list(range(1, 31)), 60))

        async def is_ready() -> bool:
            return keeper.state == "ready"

        await until(is_ready)
