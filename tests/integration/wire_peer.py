"""A peer of the wire that says whatever bytes it is given, and keeps what it is answered."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import hpack

from stream.wire import frames
from stream.wire.codes import PREFACE, Code, Kind
from tests.integration.wire_support import lines

STREAMS = 20
SPOKEN, SPEAKING, NEW = 1, 3, 2 * STREAMS + 1  # a stream whose request is whole, one where the peer may speak, the next


def block(headers: Iterable[tuple[str, str]]) -> bytes:
    """A request that no decoder remembers anything of, as the edge writes them."""
    made: bytes = hpack.Encoder().encode([(name, value, True) for name, value in headers], huffman=False)
    return made


@dataclass
class Peer:
    """`closed`: the node has ended the connection. `order` has every DATA frame; what comes on streams in `drop` is not kept."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: dict[int, bytes] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    order: list[tuple[int, int]] = field(default_factory=list)
    drop: set[int] = field(default_factory=set)
    resets: dict[int, int] = field(default_factory=dict)
    went_away: list[Code] = field(default_factory=list)
    pongs: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def greet(self, window: int = 65535) -> None:
        everything = frames.window_update(0, 2**31 - 1 - 65535)
        self.say(PREFACE + frames.frame(Kind.SETTINGS, 0, 0, b"\0\x04" + window.to_bytes(4, "big")) + everything)

    def ask(self, sid: int, headers: Iterable[tuple[str, str]], *, end: bool = True) -> None:
        self.received[sid] = b""
        self.say(frames.headers(sid, block(headers), end))

    async def until(self, done: "object", seconds: float = 20) -> None:
        """Waits for what the frames that come make true."""
        assert callable(done)
        async with asyncio.timeout(seconds):
            while not done():
                self._news.clear()
                await self._news.wait()

    async def read(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await self.reader.readexactly(9)
                sid, payload = (
                    int.from_bytes(head[5:], "big"),
                    await self.reader.readexactly(int.from_bytes(head[:3], "big")),
                )
                match head[3]:
                    case Kind.DATA:
                        self.order.append((sid, len(payload)))
                        self.sizes[sid] = self.sizes.get(sid, 0) + len(payload)
                        if sid not in self.drop:
                            self.received[sid] = self.received.get(sid, b"") + payload
                    case Kind.RST_STREAM:
                        self.resets[sid] = int.from_bytes(payload, "big")
                    case Kind.GOAWAY:
                        self.went_away.append(Code(int.from_bytes(payload[4:8], "big")))
                    case Kind.PING:
                        self.pongs += head[4]
                self._news.set()
        self.closed.set()
        self._news.set()


@asynccontextmanager
async def speaking(port: int) -> AsyncIterator[Peer]:
    """A connection on which nothing has been said."""
    peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
    reading = asyncio.create_task(peer.read())
    try:
        yield peer
    finally:
        peer.writer.transport.abort()
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


@asynccontextmanager
async def streaming(port: int, streams: int = STREAMS) -> AsyncIterator[Peer]:
    """So many streams of users from 100 on are live; on SPEAKING the peer has not ended its request."""
    async with speaking(port) as peer:
        peer.greet()
        sids = range(1, 2 * streams, 2)
        for uid, sid in enumerate(sids, 100):
            peer.ask(sid, lines(uid), end=sid != SPEAKING)
        await peer.until(lambda: all(b"snapshot" in peer.received[sid] for sid in sids))
        yield peer
