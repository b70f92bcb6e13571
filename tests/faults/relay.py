"""A relay between an edge and a node that can stop in the middle: what is on the way then is neither here nor there."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from tests.faults.beside import OneMore

_SMALL_BUFFER = 64 * 1024


@dataclass
class Relay:
    """Of each connection `lets` bytes of the node's pass; then it holds until it is opened, or cut with what it holds."""

    node: str
    lets: int
    held: asyncio.Event = field(default_factory=asyncio.Event)
    _opened: asyncio.Event = field(default_factory=asyncio.Event)
    _cut: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        self._opened.set()

    def cut(self) -> None:
        self._cut.set()

    async def pass_on(self, edge_reads: asyncio.StreamReader, edge: asyncio.StreamWriter) -> None:
        """One connection, until either side has gone, which the other sees at once."""
        plug = socket.socket()
        plug.setblocking(False)
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        host, _, port = self.node.rpartition(":")
        try:
            await asyncio.get_running_loop().sock_connect(plug, (host, int(port)))
            node_reads, node = await asyncio.open_connection(sock=plug, limit=_SMALL_BUFFER)
            ways: set[asyncio.Task[Any]] = {
                asyncio.create_task(self._copy(edge_reads, node)),
                asyncio.create_task(self._copy(node_reads, edge, self.lets)),
                asyncio.create_task(self._cut.wait()),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            node.transport.abort()
        except OSError:
            plug.close()
        edge.transport.abort()

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, lets: float = float("inf")
    ) -> None:
        with suppress(OSError):
            while data := await source.read(8192):
                target.write(data)
                await target.drain()
                lets -= len(data)
                if lets <= 0 and not self._opened.is_set():
                    self.held.set()
                    await self._opened.wait()


@asynccontextmanager
async def holding(node: OneMore, door: str, lets: int) -> AsyncIterator[tuple[OneMore, Relay]]:
    """The node as an edge is to know it, with a relay before this door."""
    relay = Relay(node.wire if door == "wire" else node.address, lets)
    server = await asyncio.start_server(relay.pass_on, "127.0.0.1", limit=_SMALL_BUFFER)
    async with server:
        host, port = server.sockets[0].getsockname()
        there = f"{host}:{port}"
        try:
            yield (replace(node, wire=there) if door == "wire" else replace(node, address=there)), relay
        finally:
            relay.cut()
