"""How commands speak to a running supervisor: one line of JSON there, lines of JSON back, over a Unix socket."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

_MAX_LINE = 1024 * 1024
_REQUEST_WITHIN = 5.0

Message = dict[str, object]
Answer = Callable[[Message], AsyncIterator[Message]]


class NotRunning(Exception):
    """Nobody listens on the control socket."""


class NoAnswer(TimeoutError):
    """The supervisor takes too long; the text says what to do."""


async def serve(path: Path, answer: Answer) -> asyncio.Server:
    """Answers each request with the messages of `answer`. The socket is for the owner alone."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that has gone is no reason to stop doing what it asked for, only to stop telling it.
        try:
            request = json.loads(await asyncio.wait_for(reader.readline(), _REQUEST_WITHIN))
            async for message in answer(request):
                with suppress(ConnectionError):
                    writer.write(json.dumps(message).encode() + b"\n")
                    await writer.drain()
        except (ValueError, TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_unix_server(connection, sock=_listen(path), limit=_MAX_LINE)


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # what a killed supervisor left; the lock says that it is gone
    old = os.umask(0o177)
    try:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
    finally:
        os.umask(old)
    return listening


async def ask(path: Path, request: Message, within: float) -> AsyncIterator[Message]:
    """The supervisor's answers, one by one. Raises NotRunning, or NoAnswer if one takes longer than `within`."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=_MAX_LINE)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(f"no supervisor listens on {path}") from None
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        while line := await asyncio.wait_for(reader.readline(), within):
            yield json.loads(line)
    except TimeoutError:
        text = f"the supervisor has not answered for {within:.0f} s: `python -m local logs supervisor`, or `down`, which ends it"
        raise NoAnswer(text) from None
    finally:
        writer.close()
