"""A stream asked for on a bare socket, by SSE or by WebSocket, and its frames just as they come."""

import asyncio
import json
import struct
from collections.abc import AsyncGenerator, Iterable
from typing import Any

Told = tuple[str, str | None, dict[str, Any]]  # event, id, data
Frames = AsyncGenerator[Told, None]
Headers = Iterable[tuple[str, str]]

_TEXT, _CLOSE = 1, 8  # opcodes (RFC 6455, 5.2)
_UPGRADE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)


async def open_sse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Headers, at: str | None
) -> Frames | None:
    """None where the edge answers by itself, because no node is up: come again."""
    head = await _ask(reader, writer, "/v1/stream", [*headers, *([("Last-Event-ID", at)] if at else [])])
    assert head.startswith(b"http/1.1 200"), head
    return _chunks(reader) if b"transfer-encoding: chunked" in head else None


async def open_websocket(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Headers, at: str | None
) -> Frames | None:
    """As `open_sse`."""
    head = await _ask(reader, writer, "/v1/ws" + (f"?cursor={at}" if at else ""), [*headers, *_UPGRADE])
    assert head.startswith((b"http/1.1 101", b"http/1.1 50")), head
    return _messages(reader) if head.startswith(b"http/1.1 101") else None


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, headers: Headers) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: edge", *(f"{name}: {value}" for name, value in headers)]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    return (await reader.readuntil(b"\r\n\r\n")).lower()


async def _chunks(reader: asyncio.StreamReader) -> Frames:
    rest = b""
    while size := int(await reader.readline() or b"0", 16):
        rest += (await reader.readexactly(size + 2))[:-2]
        *whole, rest = rest.split(b"\n\n")
        for frame in whole:
            lines = [line.split(": ", 1) for line in frame.decode().split("\n")]
            fields, data = dict(lines), "\n".join([value for name, value in lines if name == "data"])
            if data:
                yield fields["event"], fields.get("id"), json.loads(data)
    await reader.readline()


async def _messages(reader: asyncio.StreamReader) -> Frames:
    while True:
        first, size = await reader.readexactly(2)
        if size > 125:
            form = "!H" if size == 126 else "!Q"
            (size,) = struct.unpack(form, await reader.readexactly(struct.calcsize(form)))
        payload = await reader.readexactly(size)
        if first & 0x0F == _CLOSE:
            return
        if first & 0x0F == _TEXT:
            message = json.loads(payload)
            yield message["event"], message.get("id"), message["data"]
