"""A proxy as some companies have it: it passes everything on, but keeps an event stream until it is complete, which is never."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_STREAM = b"content-type: text/event-stream"


@asynccontextmanager
async def buffering_proxy(target: str) -> AsyncIterator[str]:
    """The address that leads to `target` through it."""
    to = urlsplit(target)
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        there, away = await asyncio.open_connection(to.hostname, to.port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_forward(reader, away))
                both.create_task(_hold_streams(there, writer))
        finally:
            tasks.discard(task)
            writer.close()
            away.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}"
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


async def _hold_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From the head of an event stream on, nothing more of this connection gets through."""
    held = False
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            held = held or _STREAM in data.lower()
            if not held:
                writer.write(data)
                await writer.drain()
        writer.close()
