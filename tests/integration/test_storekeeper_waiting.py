"""A storekeeper that has to wait says for what, says how much waits, and does not keep others from the work."""

import re

import pytest
from aiokafka import AIOKafkaConsumer

from local.process import Process
from store.__main__ import health_of
from store.archive import ArchiveUnavailable, open_archive
from store.events import Arrival
from store.settings import Settings
from store.storekeeper import Storekeeper
from tests.integration.conftest import settings_of
from tests.integration.test_storekeeper import has_come_to, keeping, publish, record, until

_WHY = "MongoDB: it hangs"


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)


class Hanging:
    """MongoDB as one storekeeper sees it: from now on until `over`, it takes no event."""

    def __init__(self, keeper: Storekeeper, patch: pytest.MonkeyPatch) -> None:
        self.over = False
        self.met = 0
        self._really = keeper._into_archive
        patch.setattr(keeper, "_into_archive", self._into_archive)

    async def _into_archive(self, epoch: str, arrivals: list[Arrival]) -> None:
        if not self.over:
            self.met += 1
            raise ArchiveUnavailable(_WHY)
        await self._really(epoch, arrivals)


async def test_how_much_waits_and_for_what_is_told_to_who_asks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(settings, *[record(1, id=n, text="x") for n in range(35)])
    async with open_archive(settings) as archive, keeping(settings) as keeper:
        await until(lambda: has_come_to(archive, 35))
        client = health_of(keeper).test_client()

        async def said() -> tuple[int, str]:
            answer = await client.get("/readyz")
            return answer.status_code, str((await answer.get_json())["missing"])

        async def lags() -> list[int]:
            text = await (await client.get("/metrics")).get_data(as_text=True)
            return sorted(
                int(float(lag)) for lag in re.findall(r"^stickyfeed_storekeeper_lag{.*} (.*)$", text, re.MULTILINE)
            )

        async def is_idle() -> bool:
            return await said() == (200, "{}") and await lags() == [0, 0, 0]

        async def waits() -> bool:
            return (await said())[0] == 503 and _WHY in (await said())[1] and (await lags())[-1] > 0

        await until(is_idle)
        hanging = Hanging(keeper, monkeypatch)
        await publish(settings, *[record(1, id=n, text="x") for n in range(25)])
        await until(waits)
        hanging.over = True
        await until(is_idle)


async def test_a_member_that_waits_too_long_gives_its_partitions_up_and_takes_part_again_when_it_can(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.broker.AIOKafkaConsumer", impatient)
    authors = list(range(1, 31))
    async with open_archive(settings) as archive, keeping(settings) as slow, keeping(settings) as other:

        async def share() -> bool:
            return bool(slow.lag) and bool(other.lag) and not slow.lag.keys() & other.lag.keys()

        await until(share)
        hanging = Hanging(slow, monkeypatch)
        await publish(settings, *[record(author, id=1, text="x") for author in authors])
        await until(lambda: has_come_to(archive, 30))
        assert hanging.met, "it had nothing to do"
        assert slow.state == _WHY, "it did it itself"

        hanging.over = True
        await until(share)
        await publish(settings, *[record(author, id=2, text="y") for author in authors])
        await until(lambda: has_come_to(archive, 60))
        assert len((await archive.newest(authors, None, 100)).regardless("a test looks")) == 60


def impatient(**chosen: object) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(**{**chosen, "max_poll_interval_ms": 3000})
