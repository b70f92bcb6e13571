"""What must arrive, and what did: authors that note what they have posted, followers that come back as a browser does."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from local.system import System
from store import cursor
from tests.doors import edge_before
from tests.e2e.people import Got, Person, sse

_COMES_BACK = (0.05, 0.4)  # seconds; a browser would wait for `retry`, which only makes a test slow


@dataclass
class Author:
    """Somebody who posts, one post after the other, and again until it is answered 2xx."""

    person: Person
    posted: list[str] = field(default_factory=list)

    async def post(self, text: str = "x") -> None:
        self.posted.append((await self.person.post(text))["event_id"])

    async def burst(self, count: int, pause: float = 0.0) -> None:
        for number in range(count):
            await self.post(f"post {number}")
            await asyncio.sleep(pause)


@dataclass
class Follower:
    """Reads the stream at `address` with `headers`, keeps every frame, and comes back with its cursor whenever it is cut."""

    address: str
    headers: dict[str, str]
    follows: list[Author]
    frames: list[Got] = field(default_factory=list)
    at: str | None = None
    hellos: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # why there was no stream, because its session had ended

    def got(self) -> list[str]:
        """Ids of the posts' events, as they came over the wire.

        A frame without an id belongs to the follow behind it and may come again with it (docs/protocol.md): it counts where it
        is the only one.
        """
        posts = [frame for frame in self.frames if frame.event == "post"]
        sure = {frame.data["id"] for frame in posts if frame.id}
        return [frame.data["id"] for frame in posts if frame.id or frame.data["id"] not in sure]

    def seen(self, *names: str) -> list[Got]:
        return [frame for frame in self.frames if frame.event in names]

    async def read(self, client: httpx.AsyncClient) -> AsyncIterator[Got]:
        """One connection, from the cursor on."""
        headers = self.headers | ({"Last-Event-ID": self.at} if self.at else {})
        async with client.stream("GET", f"{self.address}/v1/stream", headers=headers, timeout=None) as answer:
            if answer.status_code == 401:
                self.refusals.append(json.loads(await answer.aread())["error"])
                return
            assert answer.status_code == 200, await answer.aread()
            async for frame in sse(answer.aiter_lines()):
                if frame.event == "hello":
                    self.hellos.append(frame.data)
                if frame.id is not None:
                    if self.at is not None and frame.event not in ("snapshot", "gap"):
                        now, before = cursor.decode(frame.id).offsets, cursor.decode(self.at).offsets
                        assert all(map(int.__ge__, now, before)), "an id went back"
                    self.at = frame.id
                self.frames.append(frame)
                yield frame

    async def stay(self, client: httpx.AsyncClient) -> None:
        """Reads for ever."""
        while True:
            try:
                async for _ in self.read(client):
                    pass
            except httpx.HTTPError:
                pass  # cut off: a real reader comes back, with what it has
            await asyncio.sleep(random.uniform(*_COMES_BACK))

    def lacks(self) -> list[str]:
        missing = {event for author in self.follows for event in author.posted} - set(self.got())
        return sorted(missing)

    def check(self) -> None:
        """Everything, once, and each author's posts in the order in which they were made."""
        got = self.got()
        assert not self.lacks(), f"{len(self.lacks())} posts are missing"
        assert len(got) == len(set(got)), f"{len(got) - len(set(got))} posts came twice"
        for author in self.follows:
            wanted = set(author.posted)
            assert [event for event in got if event in wanted] == author.posted, "out of order"


@dataclass
class World:
    """People in a running system."""

    system: System
    client: httpx.AsyncClient
    address: str  # the edge
    _edges: dict[tuple[str, str], str] = field(default_factory=dict)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the edges that were opened for it."""
        await self._open.aclose()

    async def author(self) -> Author:
        return Author(await Person.signed_up(self.address, self.client))

    async def follower(self, follows: Iterable[Author]) -> Follower:
        person = await Person.signed_up(self.address, self.client)
        followed = list(follows)
        for author in followed:
            await person.follow(author.person.id)
        return Follower(self.address, {"Authorization": f"Bearer {person.token}"}, followed)

    async def straight(self, node: str, follower: Follower, door: str) -> Follower:
        """The same reader at one node alone, by an edge that knows no other, from the same cursor on."""
        if (node, door) not in self._edges:
            number = node.removeprefix("stream-")
            told = {f"STREAM_{kind}1": self.system.env[f"STREAM_{kind}{number}"] for kind in ("", "WIRE_")}
            self._edges[node, door] = await self._open.enter_async_context(edge_before(self.system, door, told))
        return Follower(self._edges[node, door], follower.headers, follower.follows, follower.frames, follower.at)

    @asynccontextmanager
    async def staying(self, *followers: Follower) -> AsyncIterator[None]:
        """They read until the end of the block; it begins when each has had its snapshot."""
        tasks = [asyncio.create_task(follower.stay(self.client)) for follower in followers]
        try:
            await until(lambda: all(follower.at for follower in followers))
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Any, seconds: float = 30) -> None:
    """Waits until it is true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def arrive(*followers: Follower, seconds: float = 40) -> None:
    """Waits until nobody lacks anything, then for what comes twice, and checks."""
    with suppress(TimeoutError):
        await until(lambda: not any(follower.lacks() for follower in followers), seconds)
    await asyncio.sleep(0.5)
    for follower in followers:
        follower.check()
