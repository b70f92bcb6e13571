"""People as they meet the system: through the edge, by HTTP, SSE, WebSocket or curl."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

import httpx
import websockets

from tests import known

PASSWORD = "1234567890"


@dataclass(frozen=True)
class Got:
    """One frame as a client reads it."""

    event: str
    id: str | None
    data: dict[str, Any]


@dataclass
class Person:
    """Somebody with an account; `token` is that of the last sign-in."""

    address: str
    client: httpx.AsyncClient
    username: str
    id: int = 0
    token: str = ""

    @classmethod
    async def signed_up(cls, address: str, client: httpx.AsyncClient) -> Self:
        person = cls(address, client, f"t-{uuid4().hex[:12]}")
        body = {"username": person.username, "password": PASSWORD, "passwordConfirm": PASSWORD, "gender": "f"}
        person._take(await client.post(f"{address}/v1/auth/sign-up", json=body), 201)
        return person

    async def sign_in(self) -> None:
        body = {"username": self.username, "password": PASSWORD}
        self._take(await self.client.post(f"{self.address}/v1/auth/sign-in", json=body), 200)

    async def call(self, method: str, path: str, **rest: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **rest.pop("headers", {})}
        return await self.client.request(method, f"{self.address}{path}", headers=headers, **rest)

    async def follow(self, other: int) -> None:
        assert (await self.call("POST", f"/v1/friends/{other}")).status_code == 201

    async def post(self, text: str) -> dict[str, Any]:
        answer = await self.call("POST", "/v1/posts", json={"text": text})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def sign_out(self) -> None:
        answer = await self.call("POST", "/v1/auth/sign-out")
        assert answer.status_code == 204, answer.text

    def _take(self, answer: httpx.Response, expected: int) -> None:
        assert answer.status_code == expected, answer.text
        body = answer.json()
        assert body["object"] == "token" and body["username"] == self.username
        self.id, self.token = body["userId"], body["token"]
        known.remember(body["token"], body["refresh_token"], *answer.cookies.values(), PASSWORD)
        self.client.cookies.clear()


@dataclass
class Listening:
    """An open stream, and what has come out of it so far."""

    frames: list[Got] = field(default_factory=list)
    closed: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, frame: Got) -> None:
        self.frames.append(frame)
        self._news.set()

    def events(self, *names: str) -> list[Got]:
        return [frame for frame in self.frames if frame.event in names]

    async def until(self, *names: str, count: int = 1, seconds: float = 20) -> list[Got]:
        """The frames of these names, as soon as there are `count` of them."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.events(*names)) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"waited for {count} of {names}, got {[frame.event for frame in self.frames]}"
            ) from None
        return self.events(*names)

    @property
    def cursor(self) -> str:
        return next(frame.id for frame in reversed(self.frames) if frame.id)


@asynccontextmanager
async def listening(person: Person, cursor: str | None = None) -> AsyncIterator[Listening]:
    """The person's stream by SSE; ready when what it begins with has come."""
    headers = {"Authorization": f"Bearer {person.token}"} | ({"Last-Event-ID": cursor} if cursor else {})
    got = Listening()

    async def read() -> None:
        async with person.client.stream("GET", f"{person.address}/v1/stream", headers=headers, timeout=None) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for frame in sse(answer.aiter_lines()):
                got.add(frame)
        got.closed = True

    async with _reading(read, got):
        yield got


@asynccontextmanager
async def listening_by_websocket(person: Person, cursor: str | None = None) -> AsyncIterator[Listening]:
    """The same stream over WebSocket, the token as a subprotocol, as a browser has to send it."""
    url = person.address.replace("http", "ws", 1) + "/v1/ws" + (f"?cursor={cursor}" if cursor else "")
    protocols = [websockets.Subprotocol("feed.v1"), websockets.Subprotocol(f"bearer.{person.token}")]
    got = Listening()

    async def read() -> None:
        async with websockets.connect(url, subprotocols=protocols, proxy=None) as socket:
            assert socket.subprotocol == "feed.v1"
            async for text in socket:
                message = json.loads(text)
                got.add(Got(message["event"], message.get("id"), message["data"]))
        got.closed = True

    async with _reading(read, got):
        yield got


async def sse(lines: AsyncIterator[str]) -> AsyncIterator[Got]:
    """Frames out of the lines of an event stream."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
        elif "data" in fields:
            yield Got(fields["event"], fields.get("id"), json.loads(fields["data"]))
            fields = {}


async def _begun(got: Listening) -> None:
    """Until the hello, and the snapshot of a stream that goes on from no cursor: what that shows is not sent again."""
    first, *_ = await got.until("hello", "bye")
    if first.event == "hello" and not first.data["resumed"]:
        await got.until("snapshot", "bye")


@asynccontextmanager
async def _reading(read: Any, got: Listening) -> AsyncIterator[None]:
    task = asyncio.create_task(read())
    try:
        hello = asyncio.create_task(_begun(got))
        await asyncio.wait({task, hello}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            hello.cancel()
            task.result()
        await hello
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
