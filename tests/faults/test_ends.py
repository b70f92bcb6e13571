"""Sessions end while Kafka, or Redis, is away: G5 by whichever of the two ways is left."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from tests.doors import DOORS
from tests.e2e.people import PASSWORD, Listening, Person, listening, listening_by_websocket
from tests.faults.model import Follower, World

_NODES = ("stream-1", "stream-2")
_WAYS = (listening, listening_by_websocket)
# Seconds. Who must end does so in a tenth of one; the other way is shut all the while, so it cannot have been that.
_WITHIN = 30


async def sign_out(person: Person) -> None:
    await person.sign_out()


async def leave(person: Person) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await person.call("DELETE", "/v1/me", content=json.dumps({"password": PASSWORD}), headers=headers)
    assert answer.status_code == 204, answer.text


ENDS = pytest.mark.parametrize("end", [sign_out, leave])
End = Callable[[Person], Awaitable[None]]


async def at_every_node(world: World, person: Person, door: str) -> list[Person]:
    """The same person at each node's own edge, which opens streams."""
    follower = Follower(world.address, {"Authorization": f"Bearer {person.token}"}, [])
    there = [await world.straight(node, follower, door) for node in _NODES]
    async with world.staying(*there):
        return [replace(person, address=one.address) for one in there]


@asynccontextmanager
async def streams_of(person: list[Person]) -> AsyncIterator[list[Listening]]:
    """One by SSE and one by WebSocket at each node, with their snapshots."""
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(open(at)) for at in person for open in _WAYS]
        for page in pages:
            await page.until("snapshot")
        yield pages


async def until_signed_out(pages: list[Listening]) -> None:
    for page in pages:
        (bye,) = await page.until("bye", seconds=_WITHIN)
        assert bye.data["reason"] == "signed-out"


@asynccontextmanager
async def stopped(world: World, *servers: str) -> AsyncIterator[None]:
    await asyncio.gather(*(world.system.stop(server, signal.SIGKILL) for server in servers))
    try:
        yield
    finally:
        await asyncio.gather(*(world.system.start(server) for server in servers))


@asynccontextmanager
async def frozen(world: World, server: str) -> AsyncIterator[None]:
    world.system.freeze(server)
    try:
        yield
    finally:
        world.system.thaw(server)


async def is_refused(at: Person) -> bool:
    """A stream of an ended session is none (401), or ends with its bye where that was known too late for the header."""
    answer = await at.call("GET", "/v1/stream")
    return answer.status_code == 401 or ('"signed-out"' in answer.text and "event: hello" not in answer.text)


@DOORS
@ENDS
async def test_g5_with_kafka_away_an_ended_session_has_no_stream_on_any_node(world: World, door: str, end: End) -> None:
    person = await Person.signed_up(world.address, world.client)
    stranger = await Person.signed_up(world.address, world.client)
    everywhere = await at_every_node(world, person, door)
    async with streams_of(everywhere) as pages, streams_of(await at_every_node(world, stranger, door)) as others:
        async with stopped(world, "kafka-1"):
            await end(person)
            await until_signed_out(pages)
            for at in everywhere:
                assert await is_refused(at)
        assert not any(page.events("bye") for page in others)


@DOORS
@ENDS
async def test_g5_with_redis_hanging_an_ended_session_has_no_stream_on_any_node(
    world: World, door: str, end: End
) -> None:
    person = await Person.signed_up(world.address, world.client)
    async with streams_of(await at_every_node(world, person, door)) as pages, frozen(world, "redis"):
        await end(person)
        await until_signed_out(pages)


@DOORS
async def test_g5_redis_emptied_again_and_again_while_kafka_is_away_and_people_sign_out_lets_nobody_in(
    world: World, door: str
) -> None:
    people = [await Person.signed_up(world.address, world.client) for _ in range(4)]
    everywhere = [await at_every_node(world, person, door) for person in people]

    async def flush() -> None:
        async with Redis.from_url(world.system.env["REDIS_URL"]) as redis:
            while True:
                await redis.flushall()
                await asyncio.sleep(0.05)

    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(streams_of(person)) for person in everywhere]
        async with stopped(world, "kafka-1"):
            flushing = asyncio.create_task(flush())
            try:
                for person, end in zip(people, (sign_out, leave, sign_out, sign_out), strict=True):
                    await end(person)
                await until_signed_out([page for some in pages for page in some])
                for person in people:
                    assert (await person.call("GET", "/v1/feed")).status_code == 401
                    assert (await person.call("POST", "/v1/posts", json={"text": "x"})).status_code == 401
                for at in (at for person in everywhere for at in person):
                    assert await is_refused(at)
                for person in people:  # and no node has told Redis what the API believes
                    assert (await person.call("GET", "/v1/feed")).status_code == 401
            finally:
                flushing.cancel()
                await asyncio.gather(flushing, return_exceptions=True)


@DOORS
async def test_g5_ends_told_while_both_are_away_are_heard_as_soon_as_redis_is_back(world: World, door: str) -> None:
    person = await Person.signed_up(world.address, world.client)
    async with (
        streams_of(await at_every_node(world, person, door)) as pages,
        stopped(world, "kafka-1"),
    ):
        async with stopped(world, "redis"):
            await sign_out(person)
        await until_signed_out(pages)
