"""POSTs to servers that take what is published over HTTP/1.1: many on one connection, without waiting for each answer."""

import asyncio
import re
from collections.abc import Iterable
from typing import Self

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWERED_WITHIN = 60.0


class Poster:
    """One kept connection to one server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def post(self, requests: Iterable[tuple[str, bytes]], *lines: str) -> None:
        """POSTs each body to its path; returns when all are answered. Raises RuntimeError for an answer that is not 2xx."""
        rest = "".join(f"{line}\r\n" for line in ("Host: bench", *lines))
        sent = [
            f"POST {path} HTTP/1.1\r\n{rest}Content-Length: {len(body)}\r\n\r\n".encode() + body
            for path, body in requests
        ]
        self._writer.write(b"".join(sent))
        async with asyncio.timeout(_ANSWERED_WITHIN):
            for _ in sent:
                await self._answer()

    async def _answer(self) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length, body = _LENGTH.search(head), b""
        if length:
            body = await self._reader.readexactly(int(length.group(1)))
        elif b"chunked" in head.lower():
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readexactly(2)
        if head[9:10] != b"2":
            raise RuntimeError(f"a post was refused: {head[:200]!r} {body[:200]!r}")

    def close(self) -> None:
        self._writer.close()
