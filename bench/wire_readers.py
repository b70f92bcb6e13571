"""The readers of `bench.wire`: a process of its own that answers every DATA with a WINDOW_UPDATE, as HAProxy does."""

import asyncio
import socket
import struct
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from bench.wire_people import FIRST_UID, fill
from stream.wire import frames
from stream.wire.blocks import encode
from stream.wire.codes import PREFACE, Kind, Setting

SECRET = "a secret of the bench"
_AT_ONCE, _PAUSE = 20, 0.02  # who comes on one connection: a storm, but no single packet
_HEAD = struct.Struct(">LBL")
_UPDATE = struct.Struct(">LBLL")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many readers come to which node, and whom Redis is to know them to follow."""

    port: int
    streams: int
    per_connection: int
    followed: int
    redis_url: str


def read(plan: Plan, pipe: Connection) -> None:
    """Makes everybody known to Redis, then does what the pipe says, until it says "end"."""
    asyncio.run(fill(plan.redis_url, plan.streams, plan.followed))
    asyncio.run(_Readers(plan.port, plan.streams, plan.per_connection).obey(pipe))


class _Readers:
    def __init__(self, port: int, streams: int, per_connection: int) -> None:
        self._port, self._streams, self._per_connection = port, streams, per_connection
        self._tasks: list[asyncio.Task[None]] = []
        self._links: list[socket.socket] = []
        self._got = 0

    async def obey(self, pipe: Connection) -> None:
        while True:
            while not pipe.poll():
                await asyncio.sleep(0.002)
            match pipe.recv():
                case "end":
                    return
                case "how many":
                    pipe.send(self._got)
                case "leave":
                    for task in self._tasks:
                        task.cancel()
                    await asyncio.gather(*self._tasks, return_exceptions=True)
                    self._tasks.clear()
                    pipe.send("left")
                case ("prepare", cursor):
                    self._prepare(cursor)
                    pipe.send("ready")
                case "come":
                    self._tasks = [asyncio.create_task(self._take(*one)) for one in self._coming]

    def _prepare(self, cursor: str | None) -> None:
        self._coming: list[tuple[socket.socket, list[bytes]]] = []
        for first in range(0, self._streams, self._per_connection):
            out = [PREFACE + frames.settings({Setting.INITIAL_WINDOW_SIZE: 65535}) + frames.window_update(0, 2**30)]
            for number in range(min(self._per_connection, self._streams - first)):
                out.append(frames.headers(2 * number + 1, _request(FIRST_UID + first + number, cursor), end=True))
            self._coming.append((socket.create_connection(("127.0.0.1", self._port)), out))

    async def _take(self, link: socket.socket, hello: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection(sock=link)
        coming = asyncio.create_task(self._come(writer, hello))
        left = b""
        try:
            while data := await reader.read(2**20):
                left, at, out, spent = left + data, 0, [], 0
                while len(left) - at >= 9:
                    head, _, sid = _HEAD.unpack_from(left, at)
                    size = head >> 8
                    if len(left) - at < 9 + size:
                        break
                    if head & 0xFF == Kind.DATA:
                        out.append(_UPDATE.pack(4 << 8 | Kind.WINDOW_UPDATE, 0, sid, size))
                        spent += size
                        self._got += left.count(b"\n\n", at + 9, at + 9 + size)
                    at += 9 + size
                left = left[at:]
                if spent:
                    writer.write(b"".join(out) + frames.window_update(0, spent))
        finally:
            coming.cancel()
            writer.transport.abort()

    async def _come(self, writer: asyncio.StreamWriter, hello: list[bytes]) -> None:
        for first in range(0, len(hello), _AT_ONCE):
            writer.write(b"".join(hello[first : first + _AT_ONCE]))
            await asyncio.sleep(_PAUSE)


def _request(uid: int, cursor: str | None) -> bytes:
    lines = {":method": "GET", ":scheme": "http", ":authority": "feed.example.org", ":path": "/v1/stream"}
    lines |= {"accept": "text/event-stream", "accept-encoding": "gzip, deflate, br", "cache-control": "no-cache"}
    lines |= {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0"}
    lines |= {"x-forwarded-for": "192.0.2.7", "x-edge-secret": SECRET, "x-user-id": str(uid)}
    lines |= {"x-session-id": f"00000000-0000-4000-8000-{uid:012d}", "x-token-exp": str(int(time.time()) + 3600)}
    lines |= {"last-event-id": cursor} if cursor else {}
    return encode(200, lines.items())[1:]
