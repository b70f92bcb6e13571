"""MongoDB answers, but cannot write: the storekeeper waits, says why, and goes on where it stood."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, OperationFailure, WriteConcernError

from local.process import Process
from store.archive import open_archive
from store.events import EventType
from store.settings import Settings
from tests.integration.conftest import settings_of
from tests.integration.test_storekeeper import has_come_to, keeping, publish, record, until

_OUT_OF_DISK_SPACE, _WHY = 14031, "No space left on device"  # MongoDB's error_codes.yml


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)


def of_some(half: int) -> Exception:
    error = {"index": half, "code": _OUT_OF_DISK_SPACE, "errmsg": _WHY, "op": {}}
    return BulkWriteError({"writeErrors": [error], "writeConcernErrors": [], "nInserted": half})


def of_safety(half: int) -> Exception:
    error = {"code": _OUT_OF_DISK_SPACE, "errmsg": _WHY}
    return BulkWriteError({"writeErrors": [], "writeConcernErrors": [error], "nInserted": half})


def of_all(half: int) -> Exception:
    return OperationFailure(_WHY, _OUT_OF_DISK_SPACE)


def of_one(half: int) -> Exception:
    return WriteConcernError(_WHY, _OUT_OF_DISK_SPACE)


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("insert_many", of_some),
        ("insert_many", of_safety),
        ("insert_many", of_all),
        ("bulk_write", of_some),
        ("bulk_write", of_safety),
        ("bulk_write", of_all),
        ("update_one", of_all),
        ("update_one", of_one),
    ],
)
async def test_a_full_disk_is_waited_out_told_and_costs_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, method: str, error: Callable[[int], Exception]
) -> None:
    authors, really = list(range(1, 31)), getattr(AsyncCollection, method)

    async def full(self: AsyncCollection[Any], first: Any, *args: Any, **how: Any) -> Any:
        """Half of many fits; the rest is refused as mongod refuses it."""
        half = len(first) // 2 if isinstance(first, list) else 0
        if half:
            await really(self, first[:half], *args, **how)
        raise error(half)

    async with open_archive(settings) as archive, keeping(settings) as keeper:
        await publish(settings, *[record(author, id=1, text="x") for author in authors])
        await until(lambda: has_come_to(archive, 30))
        monkeypatch.setattr(AsyncCollection, method, full)
        await publish(
            settings,
            *[record(author, id=2, text="y") for author in authors],
            *[record(author, EventType.FOLLOW, id=31, username="x", seq=1) for author in authors],
            *[record(author, EventType.POST_DELETED, id=1) for author in authors],
        )

        async def says_why() -> bool:
            return _WHY in keeper.state

        await until(says_why)
        assert await has_come_to(archive, 30), "what is not kept is not counted as kept"

        monkeypatch.setattr(AsyncCollection, method, really)
        await until(lambda: has_come_to(archive, 120))
        kept = (await archive.newest(authors, None, 100)).regardless("a test looks")
        assert sorted(event.type for event in kept) == ["follow"] * 30 + ["post"] * 30
        assert sorted(await archive.followers(31, 100)) == authors

        async def is_ready() -> bool:
            return keeper.state == "ready"

        await until(is_ready)
