"""A node with both of its doors open on sockets, and one client that speaks to either: what it hears can be compared."""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import httpx
import websockets
from hypercorn.asyncio import serve
from wsproto.frame_protocol import FrameProtocol, Opcode

from store.archive import Archive, ArchiveUnavailable
from store.as_of import AsOf
from store.cursor import Cursor
from store.feed import Feed
from store.process import _config, _listening
from store.sessions import Sessions
from store.tokens import Identity, TokenError, Verifier
from stream.app import create_app, cut_stalled_streams
from tests.e2e.people import Got
from tests.integration.edge_system import free_port
from tests.integration.wire_support import SECRET, NoSessions, Running, Socket, StandIn, connected, running

_WITHIN = 15.0  # seconds, however slow the machine is
_SEND_BUFFER = 16 * 1024


class Tokens(Verifier):
    """A token here is "<uid> <sid> <exp>"."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str, *, now: int | None = None) -> Identity:
        assert now is None
        try:
            uid, sid, exp = token.split()
        except ValueError:
            raise TokenError("token-invalid", "planted") from None
        return Identity(int(uid), sid, int(exp))


@dataclass
class Stores(StandIn):
    """`session_check` is raised where it is asked whether a session has ended, once streams are open."""

    session_check: Exception | None = None
    page_fails: Exception | None = None

    async def is_ended(self, uid: int, sid: str) -> AsOf[bool, Cursor]:
        if self.session_check is not None:
            raise self.session_check
        return await super().is_ended(uid, sid)

    async def page(self, *given: Any) -> Any:
        if self.page_fails is not None:
            raise self.page_fails
        return await super().page(*given)


UNREACHABLE = ArchiveUnavailable("planted")


@dataclass
class Doors:
    """Both doors of a node."""

    node: Running
    store: Stores
    plain: int


@asynccontextmanager
async def both_doors(**settings: Any) -> AsyncIterator[Doors]:
    """A node on stand-ins."""
    store, verifier, stop, port = Stores(), Tokens(), asyncio.Event(), free_port()
    stores = (cast("Feed", store), cast("Archive", store), cast("Sessions", NoSessions()))
    async with running(stores, verifier, **settings) as node:
        app = create_app(node.node, node.door._meters, verifier)
        with _listening(f"127.0.0.1:{port}", _SEND_BUFFER, node.node.settings.slow_after) as listening:
            config = _config(listening)
        config.graceful_timeout = 0.1
        serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
        looking = asyncio.create_task(cut_stalled_streams(node.node))
        await _listens(port)
        try:
            yield Doors(node, store, port)
        finally:
            looking.cancel()
            stop.set()
            with suppress(asyncio.CancelledError):
                await serving


async def _listens(port: int) -> None:
    async with asyncio.timeout(_WITHIN):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)


@dataclass
class Client(ABC):
    """One stream. `end` is how it ended: the status of an answer that is none, "end" of the response, or the close code."""

    uid: int = 7
    sid: str = field(default_factory=lambda: str(uuid4()))
    events: list[Got] = field(default_factory=list)
    end: int | str | None = None

    def headers(self, exp: int = 0, **changes: str | None) -> list[tuple[str, str]]:
        made = {
            "x-edge-secret": SECRET,
            "x-user-id": str(self.uid),
            "x-session-id": self.sid,
            "x-token-exp": str(exp or int(time.time()) + 3600),
        }
        changed = {name.replace("_", "-"): value for name, value in changes.items()}
        return [(name, value) for name, value in {**made, **changed}.items() if value is not None]

    @abstractmethod
    async def say(self, message: str | bytes) -> None:
        """A message on the WebSocket."""

    async def until(self, *names: str) -> None:
        """Waits until an event of this name has come, or the end."""
        async with asyncio.timeout(_WITHIN):
            while self.end is None and not [got for got in self.events if got.event in names]:
                await asyncio.sleep(0.01)

    @property
    def told(self) -> list[str]:
        """The events that came, a bye and a gap with their reason."""
        return [f"{got.event} {got.data['reason']}" if "reason" in got.data else got.event for got in self.events]


@dataclass
class PlainClient(Client):
    _socket: websockets.ClientConnection | None = None

    async def read(self, port: int, transport: str, headers: Iterable[tuple[str, str]], path: str) -> None:
        if transport == "WebSocket":
            await self._read_websocket(f"ws://127.0.0.1:{port}{path}", list(headers))
            return
        async with (
            httpx.AsyncClient(timeout=_WITHIN) as client,
            client.stream("GET", f"http://127.0.0.1:{port}{path}", headers=list(headers)) as answer,
        ):
            if answer.status_code != 200:
                self.end = answer.status_code
                return
            rest = b""
            async for data in answer.aiter_bytes():
                *whole, rest = (rest + data).split(b"\n\n")
                self.events += [got for block in whole for got in _event(block)]
            self.end = "end"

    async def _read_websocket(self, url: str, headers: list[tuple[str, str]]) -> None:
        try:
            async with websockets.connect(url, additional_headers=headers, proxy=None) as self._socket:
                with suppress(websockets.ConnectionClosed):
                    while True:
                        self.events.append(_message(await self._socket.recv()))
                self.end = self._socket.close_code
        except websockets.InvalidStatus as refused:
            self.end = refused.response.status_code

    async def say(self, message: str | bytes) -> None:
        assert self._socket is not None
        with suppress(websockets.ConnectionClosed):
            await self._socket.send(message)


@dataclass
class WireClient(Client):
    _socket: Socket | None = None
    _number: int = 0
    _frames: FrameProtocol = field(default_factory=lambda: FrameProtocol(client=True, extensions=[]))

    async def read(self, port: int, transport: str, headers: Iterable[tuple[str, str]], path: str) -> None:
        method = [(":method", "CONNECT"), (":protocol", "websocket")]
        if transport == "SSE":
            method = [(":method", "GET")]
        asked = [*method, (":scheme", "http"), (":authority", "edge"), (":path", path), *headers]
        async with connected(port) as socket:
            self._socket, client = socket, socket.client
            number = self._number = socket.ask(asked, end=transport == "SSE")
            had = 0
            while self.end is None:
                await socket.until(
                    lambda had=had: (
                        len(client.received[number]) > had or {number} & (client.ended | set(client.resets))
                    ),  # type: ignore[misc]
                    seconds=_WITHIN,
                )
                new, had = client.received[number][had:], len(client.received[number])
                await self._take(transport, new, client.received[number])
                if number in client.resets:
                    self.end = self.end or "reset"
                elif number in client.ended:
                    status = int(client.headers[number][b":status"])
                    self.end = self.end or (status if status != 200 else "end")

    async def _take(self, transport: str, new: bytes, all_of_it: bytes) -> None:
        assert self._socket is not None
        if self._socket.client.headers[self._number][b":status"] != b"200":
            return
        if transport == "SSE":
            self.events = [got for block in all_of_it.split(b"\n\n")[:-1] for got in _event(block)]
            return
        self._frames.receive_bytes(new)
        for frame in self._frames.received_frames():
            if frame.opcode is Opcode.CLOSE:
                self.end = int(frame.payload[0])
            elif frame.opcode is Opcode.TEXT:
                self.events.append(_message(str(frame.payload)))

    async def say(self, message: str | bytes) -> None:
        assert self._socket is not None
        self._socket.client.h2.send_data(self._number, bytes(self._frames.send_data(message, fin=True)))
        self._socket.flush()


@asynccontextmanager
async def client_of(
    doors: Doors, door: str, transport: str, query: str = "", more: Iterable[tuple[str, str]] = (), **changes: Any
) -> AsyncIterator[Client]:
    """A stream through this door; `changes` are of the headers, `more` are headers that come twice."""
    made: PlainClient | WireClient = PlainClient() if door == "plain" else WireClient()
    port = doors.plain if door == "plain" else doors.node.port
    path = ("/v1/stream" if transport == "SSE" else "/v1/ws") + query
    reading = asyncio.create_task(made.read(port, transport, [*made.headers(**changes), *more], path))
    try:
        yield made
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


def _event(block: bytes) -> list[Got]:
    fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
    return [Got(fields["event"], fields.get("id"), json.loads(fields["data"]))] if "data" in fields else []


def _message(text: str | bytes) -> Got:
    message = json.loads(text)
    return Got(message["event"], message.get("id"), message["data"])
