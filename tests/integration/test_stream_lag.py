"""Two nodes over one log, one of which has not read as far: G2 and G3 for a client that moves between them."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import cast
from uuid import uuid4

import pytest

from local.process import Process
from store import cursor
from store.archive import Archive, open_archive
from store.broker import Publisher
from store.events import EventType, Person, Record, encode, new_event, record_of
from store.feed import Feed
from store.process import cancel
from store.sessions import Sessions
from store.timelines import open_redis
from store.tokens import Identity, Verifier
from store.topic import ensure_topics
from stream.life import live
from stream.meters import Meters
from stream.node import Node
from stream.settings import StreamSettings
from stream.tail import follow_log
from stream.wire.door import open_door
from tests.e2e.people import Got
from tests.integration.conftest import settings_of
from tests.integration.edge_system import free_port
from tests.integration.wire_support import Socket, connected, lines

UID, SID = 7, str(uuid4())
_FAR = 2**31
Batches = AsyncGenerator[list[Got], None]
Open = Callable[[Node, Meters, str | None], AbstractAsyncContextManager[Batches]]


@pytest.fixture(scope="module")
def meters() -> Meters:
    """Once per process, as Prometheus wants it: the node that they look at does not matter here."""
    return Meters(Node(StreamSettings.model_construct(), *[None] * 3))  # type: ignore[arg-type]


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> StreamSettings:
    common = settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)
    return StreamSettings.model_validate({**common.model_dump(), "heartbeat": 1})


@pytest.fixture
async def archive(settings: StreamSettings) -> AsyncIterator[Archive]:
    topic = await ensure_topics(settings)
    start = dict.fromkeys(range(topic.partitions), 0)
    async with open_archive(settings) as opened:
        await opened.log(lambda logbook: logbook.begin(topic.epoch, start, start))
        yield opened


@pytest.fixture
async def nodes(settings: StreamSettings, archive: Archive) -> AsyncIterator[tuple[Node, Node]]:
    async with open_redis(settings) as redis:
        await redis.flushdb()  # or what it was told of another topic would be newer news than this one's
        yield tuple(Node(settings, Feed(redis, archive), archive, Sessions(redis)) for _ in range(2))  # type: ignore[misc]


@asynccontextmanager
async def reading(node: Node, meters: Meters) -> AsyncIterator[None]:
    """The node's tail runs, and has come as far as the log goes now."""
    node.missing = "the tail begins"
    tail = asyncio.create_task(follow_log(node, meters))
    try:
        async with asyncio.timeout(30):
            while node.missing:
                await asyncio.sleep(0.01)
        yield
    finally:
        await cancel(tail)


@asynccontextmanager
async def by_plain(node: Node, meters: Meters, at: str | None) -> AsyncIterator[Batches]:
    """The user's stream as the plain door writes it."""

    async def read() -> Batches:
        async with aclosing(live(node, meters, Identity(UID, SID, _FAR), at, "test")) as batches:
            async for batch in batches:
                yield [Got(frame.event, frame.id, json.loads(frame.data)) for frame in batch]

    async with aclosing(read()) as batches:
        yield batches


@asynccontextmanager
async def by_wire(node: Node, meters: Meters, at: str | None) -> AsyncIterator[Batches]:
    """The same through the wire door, by h2."""
    port = free_port()
    node.settings = node.settings.model_copy(update={"stream_wire_bind": f"127.0.0.1:{port}"})
    verifier = cast("Verifier", None)

    async def read(socket: Socket, sid: int) -> Batches:
        had: list[Got] = []
        while True:
            await socket.until(lambda: len(socket.events(sid)) > len(had), "frames", 30)
            got = socket.events(sid)[len(had) :]
            had.extend(got)
            yield got

    async with open_door(node, meters, verifier) as door, connected(port) as socket:
        ticking = asyncio.create_task(door.look_after_links())
        secret = node.settings.edge_secret.get_secret_value()
        asked = [*lines(UID, sid=SID, secret=secret), *([("last-event-id", at)] if at else [])]
        async with aclosing(read(socket, socket.ask(asked))) as batches:
            yield batches
        await cancel(ticking)


class Client:
    """Keeps ids of events, and the last id, over all its connections."""

    def __init__(self) -> None:
        self.at: str | None = None
        self.frames: list[Got] = []

    async def until(self, batches: Batches, count: int, event: str = "post") -> None:
        """Reads on until `count` frames of that name have come in all."""
        async with asyncio.timeout(20):
            while len(self.of(event)) < count:
                for frame in await anext(batches):
                    if frame.id is not None:
                        if self.at is not None:
                            now, then = cursor.decode(frame.id).offsets, cursor.decode(self.at).offsets
                            assert all(map(int.__ge__, now, then)), "an id went back"
                        self.at = frame.id
                    self.frames.append(frame)

    def of(self, *names: str) -> list[Got]:
        return [frame for frame in self.frames if frame.event in names]


def posts(author: int, count: int) -> list[Record]:
    events = [new_event(EventType.POST, Person(author, "x"), {"id": n, "text": "x"}) for n in range(count)]
    return [record_of(event.id, event.type, author, encode(event)) for event in events]


def follow(followee: int) -> Record:
    event = new_event(EventType.FOLLOW, Person(UID, "me"), {"id": followee, "username": "x", "seq": 1})
    return record_of(event.id, event.type, UID, encode(event))


@pytest.mark.parametrize("by", [by_plain, by_wire])
async def test_g3_a_client_ahead_of_its_new_node_has_nothing_again_misses_nothing_and_its_id_never_goes_back(
    settings: StreamSettings, nodes: tuple[Node, Node], meters: Meters, by: Open
) -> None:
    quick, lagging = nodes
    authors = range(100, 106)
    first, second, third = ([record for author in authors for record in posts(author, 20)] for _ in range(3))
    client = Client()
    async with Publisher(settings) as publisher:
        async with reading(lagging, meters):
            pass  # it has begun, and stands still from here on
        async with reading(quick, meters):
            await publisher.publish([follow(author) for author in authors])
            async with by(quick, meters, None) as batches:
                await client.until(batches, 1, "snapshot")
                await publisher.publish(first)
                await client.until(batches, len(first))

        assert lagging.ring is not None and len(lagging.ring) == 0
        node_knew_nobody = lagging.ring.next.copy()
        lagging.missing = ""
        async with by(lagging, meters, client.at) as batches:
            before = len(client.frames)
            await client.until(batches, 2, "heartbeat")  # it lags, and says where the client is, not where it is itself
            assert [frame.event for frame in client.frames[before:]] == ["hello", "heartbeat", "heartbeat"]
            assert lagging.ring.next == node_knew_nobody
            assert client.at is not None
            await publisher.publish(second)
            async with reading(lagging, meters):
                await client.until(batches, len(first) + len(second))
                await publisher.publish(third)
                await client.until(batches, len(first) + len(second) + len(third))
                await client.until(batches, len(client.of("heartbeat")) + 1, "heartbeat")

    assert not client.of("gap")
    came = [frame.data["id"] for frame in client.of("post")]
    for author in authors:
        theirs = [json.loads(r.value)["id"] for r in (*first, *second, *third) if r.key == str(author).encode()]
        assert [value for value in came if value in set(theirs)] == theirs
    assert len(came) == len(set(came)) == len(first) + len(second) + len(third)
