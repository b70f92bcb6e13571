"""A node with a wire door in this process, fed by hand; and an h2 client straight at a wire door."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from prometheus_client import REGISTRY

from store.archive import Archive
from store.as_of import AsOf
from store.briefs import Brief
from store.cursor import Cursor
from store.events import Arrival, EventType
from store.feed import Feed, FeedUnavailable, Page
from store.sessions import Sessions
from store.tokens import Verifier
from stream.hub import Hub
from stream.meters import Meters
from stream.node import Node
from stream.ring import Ring
from stream.settings import StreamSettings
from stream.wire.door import Door, open_door
from tests.e2e.people import Got
from tests.integration.edge_system import free_port
from tests.unit.logs import EPOCH, arrival
from tests.unit.wire_client import WireClient

SECRET = "a secret of the tests"


@dataclass
class StandIn:
    """Feed, archive and sessions in one, as the tests need them."""

    follows: dict[int, dict[int, int]] = field(default_factory=dict)
    items: list[bytes] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    unavailable: bool = False
    page_takes: float = 0  # seconds
    deaf_for: float = 0  # seconds in which a read swallows a cancellation, as some libraries do

    async def brief(self, _uid: int, sid: str | None = None, **_: Any) -> Brief:
        return Brief(ended=sid in self.ended)

    async def following(self, uid: int, place: Cursor) -> AsOf[dict[int, int], Cursor]:
        until = time.monotonic() + self.deaf_for
        while (left := until - time.monotonic()) > 0:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(left)
        if self.unavailable:
            raise FeedUnavailable("planted")
        return AsOf(self.follows.get(uid, {1: 1, 2: 1}), place, "a stand-in")

    async def page(self, _uid: int, _before: str | None, limit: int) -> Page:
        await asyncio.sleep(self.page_takes)
        items = self.items[:limit]
        return Page(items, [str(json.loads(item)["id"]) for item in items], None, "")

    async def progress(self) -> Cursor:
        return Cursor(EPOCH, (0, 0, 0))

    async def is_ended(self, _uid: int, sid: str) -> AsOf[bool, Cursor]:
        return AsOf(sid in self.ended, await self.progress(), "a stand-in")


class NoSessions:
    """Redis that knows of no session."""

    async def is_ended(self, _uid: int, _sid: str) -> bool | None:
        return None

    async def remember(self, *_: object) -> None:
        pass


@dataclass
class Running:
    """A node whose log is what `publish` says."""

    node: Node
    door: Door
    store: StandIn
    port: int
    next: list[int] = field(default_factory=lambda: [0, 0, 0])

    @property
    def ring(self) -> Ring:
        assert self.node.ring is not None
        return self.node.ring

    @property
    def hub(self) -> Hub:
        assert self.node.hub is not None
        return self.node.hub

    def publish(self, *said: tuple[int, str], type: EventType = EventType.POST, **rest: Any) -> list[Arrival]:
        """A batch of events, one of each author with its text."""
        made = [
            self.made(author, type, **({"text": text} if type is EventType.POST else {}), **rest)
            for author, text in said
        ]
        self.deliver(*made)
        return made

    def made(self, author: int, type: EventType = EventType.POST, **rest: Any) -> Arrival:
        """An event as the log has it, which this node has not read yet."""
        partition = author % 3
        self.next[partition] += 1
        return arrival(partition, self.next[partition] - 1, author, type, **rest)

    def deliver(self, *arrivals: Arrival) -> None:
        """The node reads these as one batch, in this order."""
        entries = [self.ring.append(one, time.monotonic()) for one in arrivals]
        self.hub.deliver([entry for entry in entries if entry is not None])

    def follow(self, follower: int, followee: int, seq: int, *, on: bool = True) -> None:
        type = EventType.FOLLOW if on else EventType.UNFOLLOW
        self.publish((follower, ""), type=type, id=followee, username="x", seq=seq)


@asynccontextmanager
async def running(
    stores: tuple[Feed, Archive, Sessions] | None = None, verifier: Verifier | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """A node that is ready, with nothing in its log; on a stand-in, unless it is given stores of its own."""
    port = free_port()
    told = {"edge_secret": SECRET, "token_keys": Path("/nowhere"), "stream_wire_bind": f"127.0.0.1:{port}", **settings}
    store = StandIn()
    given = stores or (cast("Feed", store), cast("Archive", store), cast("Sessions", NoSessions()))
    node = Node(StreamSettings.model_validate(told), *given)
    node.ring = Ring(EPOCH, [0, 0, 0], seconds=600, max_bytes=10**8)
    node.hub, node.missing = Hub(node.ring), ""
    forget_meters()
    meters = Meters(node)
    async with open_door(node, meters, cast("Verifier", verifier)) as door:
        ticking = asyncio.create_task(door.look_after_links())
        try:
            yield Running(node, door, store, port)
        finally:
            ticking.cancel()
            forget_meters()


def forget_meters() -> None:
    """A process has one node; that of the tests has many, one after the other."""
    for collector in list(REGISTRY._names_to_collectors.values()):
        if getattr(collector, "_name", "").startswith("stickyfeed_stream"):
            with_suppressed(REGISTRY.unregister, collector)


def with_suppressed(call: Callable[[Any], object], argument: object) -> None:
    with suppress(KeyError):
        call(argument)


def lines(
    uid: int, *, path: str = "/v1/stream", sid: str = "", exp: int = 0, secret: str = SECRET
) -> list[tuple[str, str]]:
    """The headers of a request for a stream, as the edge sends them."""
    return [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "edge"),
        (":path", path),
        ("x-edge-secret", secret),
        ("x-user-id", str(uid)),
        ("x-session-id", sid or str(uuid4())),
        ("x-token-exp", str(exp or int(time.time()) + 3600)),
    ]


@dataclass
class Socket:
    """An h2 client on a connection. What it receives it takes at once, but for streams in `client.stalled`."""

    client: WireClient
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    closed: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def flush(self) -> None:
        self.writer.write(self.client.take_out())

    def ask(self, headers: Iterable[tuple[str, str]], *, end: bool = True) -> int:
        sid = self.client.request(headers, end=end)
        self.flush()
        return sid

    def reset(self, sid: int) -> None:
        self.client.h2.reset_stream(sid, 8)
        self.flush()

    def open_window(self, sid: int) -> None:
        self.client.stalled.discard(sid)
        self.client.open(sid)
        self.flush()

    async def read(self) -> None:
        while data := await self.reader.read(2**18):
            self.client.feed(data)
            self.flush()
            self._news.set()
        self.closed = True
        self._news.set()

    def events(self, sid: int, *names: str) -> list[Got]:
        return [got for got in sse(self.client.received[sid]) if not names or got.event in names]

    async def until(self, done: Callable[[], object], what: str = "", seconds: float = 10) -> None:
        """Waits for what the bytes that come make true."""
        try:
            async with asyncio.timeout(seconds):
                while not done():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"waited for {what or done}") from None

    async def live(self, sid: int) -> list[Got]:
        await self.until(lambda: self.events(sid, "snapshot", "bye") or self.resumed(sid), "a live stream")
        return self.events(sid)

    def resumed(self, sid: int) -> bool:
        return any(got.data["resumed"] for got in self.events(sid, "hello"))


@asynccontextmanager
async def connected(port: int, **client: Any) -> AsyncIterator[Socket]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    made = Socket(WireClient(**client), reader, writer)
    made.flush()
    reading = asyncio.create_task(made.read())
    try:
        yield made
    finally:
        reading.cancel()
        writer.transport.abort()


def sse(received: bytes) -> list[Got]:
    """The whole frames in what has come."""
    found = []
    for block in received.decode(errors="replace").split("\n\n")[:-1]:
        lines = [line.split(": ", 1) for line in block.split("\n")]
        fields, data = dict(lines), "\n".join([value for name, value in lines if name == "data"])
        if data:
            found.append(Got(fields["event"], fields.get("id"), json.loads(data)))
    return found


async def true(holds: Callable[[], object], what: str, seconds: float = 10) -> None:
    """Waits until it holds."""
    try:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited for: {what}") from None
