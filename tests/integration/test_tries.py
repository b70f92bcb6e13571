"""The counting of tries on a real Redis: what is taken back, and from which window."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.errors import ApiError
from api.tries import Limit, Purpose, Tries
from local.process import Process
from store.timelines import open_redis
from tests.integration.conftest import settings_of

MOST, WINDOW = 3, 60


@pytest.fixture
async def client(redis: Process, names: dict[str, object]) -> AsyncIterator[Any]:
    async with open_redis(settings_of(names, redis)) as opened:
        yield opened


@pytest.fixture
def tries(client: Any) -> Tries:
    return Tries(client, dict.fromkeys(Purpose, Limit(MOST, WINDOW, "too often")))


@pytest.fixture
def whose(request: pytest.FixtureRequest, names: dict[str, object]) -> str:
    return f"{request.node.name} {names}"


async def wrong(tries: Tries, whose: str) -> None:
    async with tries.one(Purpose.SIGN_IN, whose) as attempt:
        attempt.counts = True


async def left(tries: Tries, whose: str) -> int:
    """How many more would be let through; uses them up."""
    for number in range(MOST + 1):
        try:
            await wrong(tries, whose)
        except ApiError as error:
            assert (error.status, 0 < (error.retry_after or 0) <= WINDOW) == (429, True)
            return number
    raise AssertionError("there is no limit")


async def test_a_client_that_leaves_before_the_answer_has_not_tried(tries: Tries, whose: str) -> None:
    begun = asyncio.Event()

    async def hang() -> None:
        async with tries.one(Purpose.SIGN_IN, whose):
            begun.set()
            await asyncio.sleep(3600)

    for _ in range(MOST + 1):
        begun.clear()
        task = asyncio.create_task(hang())
        async with asyncio.timeout(20):
            await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert await left(tries, whose) == MOST


async def test_what_is_refused_is_not_counted(tries: Tries, whose: str) -> None:
    async with tries.one(Purpose.SIGN_IN, whose), tries.one(Purpose.SIGN_IN, whose), tries.one(Purpose.SIGN_IN, whose):
        for _ in range(5):
            with pytest.raises(ApiError):
                await wrong(tries, whose)

    assert await left(tries, whose) == MOST


async def test_of_a_thousand_at_once_no_more_than_may_are_under_way(tries: Tries, whose: str) -> None:
    under_way, most = 0, 0

    async def one() -> bool:
        nonlocal under_way, most
        try:
            async with tries.one(Purpose.SIGN_IN, whose) as attempt:
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0)
                under_way -= 1
                attempt.counts = True
        except ApiError:
            return False
        return True

    assert (await asyncio.gather(*(one() for _ in range(1000)))).count(True) == MOST
    assert most <= MOST


async def test_a_try_is_never_taken_out_of_another_window_than_its_own(client: Any, tries: Tries, whose: str) -> None:
    key = f"tries:sign-in:{hashlib.sha256(whose.encode()).hexdigest()}"
    async with tries.one(Purpose.SIGN_IN, whose), tries.one(Purpose.SIGN_IN, whose):
        assert await client.delete(key) == 1  # its window is over
        await asyncio.sleep(0.002)  # windows are told apart by the millisecond in which they end
        await wrong(tries, whose)

    assert await left(tries, whose) == MOST - 1


async def test_purposes_and_people_are_counted_apart(tries: Tries, whose: str) -> None:
    await left(tries, whose)

    for purpose in set(Purpose) - {Purpose.SIGN_IN}:
        async with tries.one(purpose, whose):
            pass
    assert await left(tries, f"{whose} ") == MOST


async def test_while_redis_is_gone_nobody_counts(names: dict[str, object]) -> None:
    async with open_redis(settings_of({**names, "redis_url": "redis://127.0.0.1:1/0"})) as gone:
        tries = Tries(gone, dict.fromkeys(Purpose, Limit(1, WINDOW, "too often")))
        for _ in range(5):
            await wrong(tries, "anybody")
