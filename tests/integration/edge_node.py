"""A stand-in for a node: answers with what it was sent, or streams, or speaks WebSocket, as the test wants."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.integration.edge_wire import Talk, serve_h2

_LARGEST_BODY = 1 << 20


@dataclass
class Node:
    """One node, on a loopback address. `ready` is what /readyz says; `failing` makes it answer 503 to everything else."""

    name: str
    port: int = 0
    wire_port: int = 0
    host: str = "127.0.0.1"
    ready: bool = True
    failing: bool = False
    events: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0
    by_wire: int = 0  # how many of them
    tunnels: int = 0  # connections that are h2 from now on, past every rule of the edge
    _doors: list[asyncio.Server] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def wire(self) -> str:
        return f"{self.host}:{self.wire_port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError, EOFError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, *headers = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
                await self._answer(line, headers, head, reader, writer)
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    async def _answer(
        self, line: str, headers: list[str], head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        fields = {name.lower(): value.strip() for name, _, value in (header.partition(":") for header in headers)}
        if "transfer-encoding" in fields:
            body = await reader.readuntil(b"0\r\n")
            while not body.endswith(b"\n\r\n"):  # trailers
                body += await reader.readline()
        else:
            body = await reader.readexactly(min(int(fields.get("content-length", "0")), _LARGEST_BODY))
        target = line.split(" ")[1]
        if target == "/readyz":
            writer.write(_response(200 if self.ready else 503, {}))
            return
        self.requests += 1
        if self.failing:
            writer.write(_response(503, {"error": "starting"}))
        elif fields.get("upgrade", "").lower() == "h2c" and not {"content-length", "transfer-encoding"} & fields.keys():
            # As Hypercorn does, whether Connection names it or not.
            self.tunnels += 1
            writer.write(b"HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
            raise EOFError
        elif fields.get("upgrade", "").lower() == "websocket":
            await _speak(head, reader, writer)
        elif "drip" in target:
            await self._drip(reader, writer)
        else:
            seen = {"node": self.name, "line": line, "headers": headers, "body": body.decode("latin-1")}
            writer.write(_response(200, seen))

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Server-sent events, one whenever the test puts one; sets `left` when the reader has gone."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        gone = asyncio.create_task(reader.read(1))
        while not gone.done():
            event = asyncio.create_task(self.events.get())
            await asyncio.wait({event, gone}, return_when=asyncio.FIRST_COMPLETED)
            if event.done():
                writer.write(b"%x\r\n%s\r\n" % (len(event.result()), event.result()))
            else:
                event.cancel()
        self.left.set()
        raise EOFError

    async def _serve_wire(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError, EOFError):
            await serve_h2(reader, writer, self._talk)
        self._open.discard(writer)
        writer.close()

    async def _talk(self, talk: Talk) -> None:
        if talk.head.startswith("GET /readyz "):
            talk.answer(200 if self.ready else 503, b"{}")
            return
        self.requests += 1
        self.by_wire += 1
        self.tunnels += talk.protocol not in ("", "websocket")
        if self.failing:
            talk.answer(503, b'{"error":"starting"}')
        elif talk.protocol == "websocket":
            talk.accept_websocket()
            talk.send_text(talk.head)
            async for text in talk.texts():
                talk.send_text(text)
        elif "drip" in talk.head:
            talk.answer(200, None, "text/event-stream")
            try:
                while True:
                    talk.send(await self.events.get())
            finally:
                self.left.set()
        else:
            line, *headers = talk.head.split("\r\n")
            seen = {"node": self.name, "line": line, "headers": headers, "body": ""}
            talk.answer(200, json.dumps(seen).encode())

    async def open_doors(self) -> None:
        plain = await asyncio.start_server(self._serve, self.host, self.port)
        wire = await asyncio.start_server(self._serve_wire, self.host, self.wire_port)
        self.port, self.wire_port = (door.sockets[0].getsockname()[1] for door in (plain, wire))
        self._doors = [plain, wire]

    async def die(self) -> None:
        """Takes no connection any more and cuts those there are. `open_doors` brings it back."""
        for door in self._doors:
            door.close()
        await self.lose_everybody()

    async def lose_everybody(self) -> None:
        """Cuts every connection, as a node that dies does."""
        for writer in list(self._open):
            writer.transport.abort()


def _response(status: int, body: object) -> bytes:
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(text), text)


async def _speak(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says the request's head first, then every text back."""
    protocol = ServerProtocol(subprotocols=["feed.v1"])  # type: ignore[list-item]
    protocol.receive_data(head)
    for event in protocol.events_received():
        assert isinstance(event, Request)
        protocol.send_response(protocol.accept(event))
        protocol.send_text(head)
    while True:
        for chunk in protocol.data_to_send():
            writer.write(chunk)
        if protocol.close_expected():
            raise EOFError
        protocol.receive_data(await _some(reader))
        for event in protocol.events_received():
            if getattr(event, "opcode", None) is Opcode.TEXT:
                protocol.send_text(event.data)  # type: ignore[union-attr]


async def _some(reader: asyncio.StreamReader) -> bytes:
    received = await reader.read(65536)
    if not received:
        raise EOFError
    return received


@asynccontextmanager
async def node(name: str, port: int = 0, wire_port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[Node]:
    """A node that serves until the block ends."""
    standing = Node(name, port, wire_port, host)
    await standing.open_doors()
    try:
        yield standing
    finally:
        await standing.die()
