"""A sign-out while Kafka is away: Redis is told before the answer, and again until Kafka has it (G5). Real MySQL and Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from api import actions, database, untold_ends
from api.settings import ApiSettings
from store.session_ends import SessionEnd, SessionEnds, listening
from store.timelines import open_redis
from tests.integration.api_support import PASSWORD, Api, Person, running_api, settings
from tests.integration.test_session_truth import sid_of

__all__ = ["settings"]


class Heard:
    """What a node would have heard so far."""

    def __init__(self, ends: SessionEnds) -> None:
        self._ends = ends
        self.said: list[SessionEnd] = []

    async def until(self, *wanted: SessionEnd) -> None:
        async with asyncio.timeout(20):
            while not set(wanted) <= set(self.said):
                self.said += await self._ends.next()


@pytest.fixture
async def redis_client(settings: ApiSettings) -> AsyncIterator["Redis"]:
    async with open_redis(settings) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def api(settings: ApiSettings) -> AsyncIterator[Api]:
    """Whose Kafka is away until the end."""
    async with running_api(settings) as running:
        running.publisher.refusing = True
        yield running
        running.publisher.refusing = False
        async with asyncio.timeout(20):
            while running.parts.outbox.waiting:
                await asyncio.sleep(0.05)


@pytest.fixture
async def heard(settings: ApiSettings, redis_client: "Redis") -> AsyncIterator[Heard]:
    async with AsyncExitStack() as stack:
        yield Heard(await stack.enter_async_context(listening(settings)))


async def sign_out(api: Api, person: Person) -> SessionEnd:
    assert (await api.call("POST", "/v1/auth/sign-out", token=person.token)).status == 204
    return SessionEnd(person.id, sid_of(person.token))


async def leave(api: Api, person: Person) -> SessionEnd:
    answer = await api.call("DELETE", "/v1/me", {"password": PASSWORD}, token=person.token)
    assert answer.status == 204
    return SessionEnd(person.id)


async def reuse_refresh_token(api: Api, person: Person) -> SessionEnd:
    first = await api.call("POST", "/v1/auth/refresh", {"refresh_token": person.refresh_token})
    await api.call("POST", "/v1/auth/refresh", {"refresh_token": first.body["refresh_token"]})
    reused = await api.call("POST", "/v1/auth/refresh", {"refresh_token": person.refresh_token})
    assert reused.body["error"] == "refresh-reused"
    return SessionEnd(person.id, sid_of(person.token))


WAYS = pytest.mark.parametrize("end", [sign_out, leave, reuse_refresh_token])
End = Callable[[Api, Person], Awaitable[SessionEnd]]


async def marked(redis: "Redis", end: SessionEnd) -> bool:
    return await redis.get(f"session:{end.sid or f'user:{end.uid}'}") == b"ended"


async def until_marked(redis: "Redis", *ends: SessionEnd) -> None:
    async with asyncio.timeout(20):
        for end in ends:
            while not await marked(redis, end):
                await asyncio.sleep(0.02)


@WAYS
async def test_g5_redis_and_all_who_listen_are_told_of_an_end_before_the_answer(
    api: Api, redis_client: "Redis", heard: Heard, end: End
) -> None:
    ended = await end(api, await api.person())

    assert await marked(redis_client, ended)
    heard.said += await heard._ends.next()
    assert ended in heard.said


@WAYS
async def test_g5_an_end_that_waits_for_kafka_is_told_again_when_redis_was_emptied(
    api: Api, redis_client: "Redis", heard: Heard, end: End
) -> None:
    person = await api.person()
    ended = await end(api, person)
    await heard.until(ended)
    heard.said.clear()
    await redis_client.flushall()

    assert (await api.call("GET", "/v1/me", token=person.token)).body["error"] == "session-ended"
    await until_marked(redis_client, ended)
    await heard.until(ended)


async def test_g5_an_end_is_told_when_redis_is_back_that_was_away_at_the_sign_out(
    api: Api, redis_client: "Redis", heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        """As with Redis away."""

    with monkeypatch.context() as away:
        away.setattr(api.parts.sessions, "_mark", nothing)
        ended = await sign_out(api, await api.person())
    assert not await marked(redis_client, ended)

    await heard.until(ended)
    assert await marked(redis_client, ended)


async def test_g5_a_sign_out_of_which_the_api_did_not_learn_the_end_is_told_too(
    api: Api, redis_client: "Redis", heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await api.person()
    commit = database.commit

    async def lost(conn: Any) -> str:
        await commit(conn)
        raise TimeoutError("the answer was lost")

    with monkeypatch.context() as losing:
        losing.setattr(actions, "commit", lost)
        assert (await api.call("POST", "/v1/auth/sign-out", token=person.token)).status == 503

    await heard.until(SessionEnd(person.id, sid_of(person.token)))
    assert (await api.call("GET", "/v1/me", token=person.token)).body["error"] == "session-ended"


async def test_however_many_ends_wait_all_are_told_some_at_a_time(
    api: Api, redis_client: "Redis", heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untold_ends, "_AT_ONCE", 2)
    monkeypatch.setattr(untold_ends, "_EVERY_SECONDS", 0.02)
    ends = [await (leave if n in (2, 3, 5) else sign_out)(api, await api.person()) for n in range(8)]
    for _ in range(2):  # and once more from the first on
        await redis_client.flushall()
        await until_marked(redis_client, *ends)


async def test_nothing_is_told_again_once_kafka_has_it(api: Api, redis_client: "Redis") -> None:
    ended = await sign_out(api, await api.person())
    await redis_client.flushall()
    await until_marked(redis_client, ended)
    api.publisher.refusing = False
    async with asyncio.timeout(20):
        while api.parts.outbox.waiting:
            await asyncio.sleep(0.02)
    async with api.parts.database.primary.connection(5) as conn:
        assert await untold_ends.select_waiting_ends(conn, 0, 10) == []
