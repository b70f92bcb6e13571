"""Asks an HTTP address whether it is ready, so cheaply that it can be asked ten times a second."""

import asyncio
from contextlib import suppress

_MAX_ANSWER = 4096


async def expect_200(address: str, path: str) -> None:
    """Raises unless `GET path` at `host:port` is answered 200; the text holds the answer's first 4 KB."""
    status, text = await get(address, path)
    if status != 200:
        raise RuntimeError(f"{path} answers {status}: {text}")


async def get(address: str, path: str) -> tuple[int, str]:
    """Status, and what follows the header. HTTP/1.0, so that the end of the answer is the end of the connection."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        answer = b""
        while len(answer) < _MAX_ANSWER and (more := await reader.read(_MAX_ANSWER)):
            answer += more
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise ConnectionError(f"{address} does not answer in HTTP")
    return int(words[1]), body.decode(errors="replace")
