"""Posting as cheaply as Python can, so that the load leaves the machine to the system; and what both have used of it."""

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path

from bench.people import Account

ANSWER_WITHIN = 30.0  # seconds; longer is a fault


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer, self._host = reader, writer, host
        self._sent = 0

    @classmethod
    async def open(cls, address: str) -> "Connection":
        host, _, port = address.removeprefix("http://").partition(":")
        return cls(*await asyncio.open_connection(host, int(port)), host)

    async def post(self, author: Account, text: str, *, keyed: bool = False) -> float:
        """Posts, and returns the seconds until it was answered. Anything but 201 ends the bench."""
        body = json.dumps({"text": text}).encode()
        self._sent += 1
        key = f'Idempotency-Key: "{id(self)}-{self._sent}-{time.time_ns()}"\r\n' if keyed else ""
        began = time.monotonic()
        self._writer.write(
            f"POST /v1/posts HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {author.token}\r\n{key}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        async with asyncio.timeout(ANSWER_WITHIN):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].split("\r\n", 1)[0])
            answer = await self._reader.readexactly(length)
        if " 201 " not in head.split("\r\n", 1)[0]:
            raise SystemExit(f"a post was answered {head.split(chr(13), 1)[0]}: {answer!r:.200}")
        return time.monotonic() - began

    def close(self) -> None:
        self._writer.close()


def quantile(seconds: list[float], share: float) -> float:
    """Which so large a share of them does not exceed."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]


def cpu(pid: int | None) -> float:
    """Seconds of CPU that the process and its children have used."""
    total, waiting = 0.0, [pid] if pid else []
    while waiting:
        one = waiting.pop()
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / 100
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
            waiting += [int(child) for child in children]
    return total
