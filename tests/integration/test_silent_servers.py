"""Servers that accept and never answer: every call of many ends by itself, whether it is also given up from outside or not.

Before Python 3.12 asyncio.wait_for can lose a cancellation, and with it the bound that somebody else has put around a call.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from aiokafka.errors import KafkaError

from store.archive import ArchiveUnavailable, open_archive
from store.broker import BrokerUnavailable, Publisher, close, open_reader
from store.events import Record
from store.sessions import Sessions
from store.settings import Settings
from store.timelines import Timelines, Unknown, Wrote, open_redis
from store.topic import ensure_once
from tests.integration.conftest import settings_of

_LONG_OVER = 60.0  # seconds: several times what the longest of these calls may take
_CALLERS = 60


@pytest.fixture
async def silent(names: dict[str, object]) -> AsyncIterator[Settings]:
    """Every server is one that reads, and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(65536):
                pass
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0, backlog=1000)
    at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield settings_of(
        {
            **names,
            "kafka_servers": at,
            "redis_url": f"redis://{at}/0",
            "mongo_url": f"mongodb://{at}/?directConnection=true",
        }
    )
    server.close()


async def over(*calls: Callable[[], Awaitable[object]]) -> list[BaseException | object]:
    """What became of many callers of each, half of whom are given up at a moment of their own. Fails if any goes on."""

    async def one(number: int, call: Callable[[], Awaitable[object]]) -> object:
        await asyncio.sleep(random.uniform(0, 0.02))
        async with asyncio.timeout(random.uniform(0.9, 1.1) if number % 2 else None):
            return await call()

    tasks = [asyncio.create_task(one(number, call)) for call in calls for number in range(_CALLERS)]
    _, going = await asyncio.wait(tasks, timeout=_LONG_OVER)
    for task in going:
        task.cancel()
    assert not going, f"{len(going)} of {len(tasks)} go on"
    return await asyncio.gather(*tasks, return_exceptions=True)


def failed(ends: list[BaseException | object], *kinds: type[BaseException]) -> bool:
    """Whether each ended by its own bound, or by its caller's."""
    return all(isinstance(end, (*kinds, TimeoutError)) for end in ends) and any(isinstance(end, kinds) for end in ends)


@pytest.mark.timeout(200)
async def test_redis_that_never_answers_keeps_no_caller(silent: Settings) -> None:
    async with open_redis(silent) as client:
        ends = await over(
            lambda: Timelines(client).feed(1), lambda: Wrote(client).last(1), lambda: Timelines(client).lease("feed:1")
        )
        sessions = await over(lambda: Sessions(client).is_ended(1, "sid"))

        assert failed(ends, Unknown)
        assert all(end is None or isinstance(end, TimeoutError) for end in sessions)


@pytest.mark.timeout(200)
async def test_mongodb_that_never_answers_keeps_no_caller(silent: Settings) -> None:
    async with open_archive(silent) as archive:
        ends = await over(
            archive.progress,
            lambda: archive.following(1),
            lambda: archive.newest(range(1, 500), None, 50),
            lambda: archive.is_ended(1, "sid"),
            lambda: archive.end_sessions({"sid": datetime.now(UTC)}),
        )

        assert failed(ends, ArchiveUnavailable)


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    async with Publisher(settings) as publisher:
        yield lambda: publisher.publish([Record(b"1", b"{}", ())])


@pytest.mark.timeout(200)
async def test_kafka_that_never_answers_keeps_no_caller(silent: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    # One after the other, under the publisher's lock.
    monkeypatch.setattr("store.broker._CONNECT_SECONDS", 0.1)

    async def reads() -> None:
        reader = open_reader(silent)
        try:
            await reader.start()
        finally:
            await close(reader)

    async with publishing(silent) as publish:
        ends = await over(publish, lambda: ensure_once(silent), reads)

        assert failed(ends, BrokerUnavailable, KafkaError, OSError)


@pytest.mark.timeout(200)
async def test_a_commit_that_kafka_does_not_answer_stops_no_storekeeper(
    silent: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from store import storekeeper
    from store.logbook import Turn
    from tests.integration.test_storekeeper import METERS

    class NoCoordinator(AIOKafkaConsumer):  # type: ignore[misc]
        """It finds no coordinator of the group, and looks for one for ever, as aiokafka does."""

        def __init__(self) -> None:
            pass

        def assignment(self) -> set[TopicPartition]:
            return {TopicPartition("x", 0)}

        async def commit(self, _offsets: object) -> None:
            await asyncio.Event().wait()

        def __del__(self) -> None:
            pass

    class Mine:
        mine: ClassVar = {0: Turn(5, 1)}

    monkeypatch.setattr(storekeeper, "_COMMIT_SECONDS", 0.1, raising=False)
    keeper = storekeeper.Storekeeper(silent, METERS)

    async with asyncio.timeout(_LONG_OVER):
        await keeper._commit(NoCoordinator(), Mine())  # type: ignore[arg-type]
