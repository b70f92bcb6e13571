"""Proxies that do event streams harm: one keeps them back until they are complete, which is never; one can go dead under them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_STREAM = b"content-type: text/event-stream"


@dataclass
class Proxy:
    """It passes everything on but what comes on a stream while that is held."""

    address: str = ""
    holds_all: bool = False
    _held: set[asyncio.StreamWriter] = field(default_factory=set)
    _streams: set[asyncio.StreamWriter] = field(default_factory=set)

    def stall(self) -> None:
        """The streams that are open now stay open, and nothing comes on them any more; new ones are all right."""
        self._held |= self._streams

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the server to the browser."""
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if _STREAM in data.lower():
                    self._streams.add(writer)
                if writer in self._held or (self.holds_all and writer in self._streams):
                    continue
                writer.write(data)
                await writer.drain()
            writer.close()


@asynccontextmanager
async def buffering_proxy(target: str) -> AsyncIterator[str]:
    """The address that leads to `target` through a proxy as some companies have it, which keeps event streams back."""
    async with stalling_proxy(target) as proxy:
        proxy.holds_all = True
        yield proxy.address


@asynccontextmanager
async def stalling_proxy(target: str) -> AsyncIterator[Proxy]:
    """A proxy before `target` that does no harm until it is told to."""
    to = urlsplit(target)
    proxy = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        there, away = await asyncio.open_connection(to.hostname, to.port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_forward(reader, away))
                both.create_task(proxy.forward(there, writer))
        finally:
            tasks.discard(task)
            writer.close()
            away.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.address = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
