"""The only way to Kafka of one node: a relay that tells its clients to come to it again, and can be closed to them alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_HOST = b"127.0.0.1"
_MOST = 64 * 2**20  # bytes of one answer; what is longer is no answer


@dataclass
class KafkaRelay:
    """In Kafka's answers its own address stands in the place of the broker's, or clients would go there (Metadata, Coordinator)."""

    broker: int
    port: int = 0
    _server: asyncio.Server | None = None
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _ways: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def let_through(self) -> None:
        """As it was at first."""
        self._open.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Connections end, and new ones are refused."""
        assert self._server is not None
        self._server.close()
        self._server = None
        for way in list(self._ways):
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)

    async def swallow(self) -> None:
        """A black hole: connections stay, and come about, but nothing goes through any more in either direction."""
        self._open.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way = asyncio.current_task()
        assert way is not None
        self._ways.add(way)
        try:
            with suppress(OSError, EOFError):
                await self._pass_on(reader, writer)
        finally:
            self._ways.discard(way)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_broker, from_us = await asyncio.open_connection("127.0.0.1", self.broker)
        there, back = self._requests(reader, from_us), self._answers(to_broker, writer)
        both = [asyncio.create_task(there), asyncio.create_task(back)]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            from_us.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, broker: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            await self._open.wait()
            broker.write(data)
            await broker.drain()

    async def _answers(self, broker: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A port follows its host as 4 bytes in every version of the protocol: the length of the answer stays.
        theirs, ours = (_HOST + port.to_bytes(4, "big") for port in (self.broker, self.port))
        while True:
            size = int.from_bytes(await broker.readexactly(4), "big")
            assert size <= _MOST
            answer = await broker.readexactly(size)
            await self._open.wait()
            writer.write(size.to_bytes(4, "big") + answer.replace(theirs, ours))
            await writer.drain()


@asynccontextmanager
async def relay_before(broker: str) -> AsyncIterator[KafkaRelay]:
    """Before the broker at this address; it lets everything through until it is told otherwise."""
    relay = KafkaRelay(int(broker.rpartition(":")[2]))
    await relay.let_through()
    try:
        yield relay
    finally:
        await relay.let_through()
        await relay.refuse()
