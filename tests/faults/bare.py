"""A reader as docs/protocol.md describes one: it keeps the last id and comes back with it. Written on a bare socket, so that a test
can stop reading, or cut the connection at any frame, and sees repeats and ids just as they come."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from store import cursor
from tests.faults.transports import open_sse

_RETRY_AT_MOST = 0.3  # seconds: tests have less patience than browsers
_SMALL_BUFFER = 4096


@dataclass(frozen=True, slots=True)
class Door:
    """Where to ask for a stream, and as whom."""

    address: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Got:
    """A frame, on which connection it came, and when (monotonic seconds)."""

    event: str
    id: str | None
    data: dict[str, Any]
    connection: int
    at: float


@dataclass(eq=False)
class Reader:
    """`door` is asked at every connect. `at` is the cursor to begin with, then the last id. `slow`: it takes very little unread.

    `open` is the transport: SSE, or WebSocket.
    """

    door: Callable[[], Door]
    at: str | None = None
    slow: bool = False
    open: Callable[..., Any] = open_sse
    frames: list[Got] = field(default_factory=list)
    connections: int = 0
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _socket: asyncio.StreamWriter | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.reading.set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def cut(self) -> None:
        """The connection is gone at once, as when a phone loses its network. The reader comes back by itself."""
        if self._socket is not None:
            self._socket.transport.abort()

    def events(self, *names: str) -> list[Got]:
        return [frame for frame in self.frames if frame.event in names]

    def posts(self) -> list[str]:
        """The ids of the posts as they came, repeats too."""
        return [frame.data["id"] for frame in self.frames if frame.event == "post"]

    async def until(self, condition: Callable[[Self], bool], seconds: float = 30) -> None:
        """Returns as soon as the condition holds, looked at after every frame and at every connect."""
        try:
            async with asyncio.timeout(seconds):
                while not condition(self):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            last = [frame.event for frame in self.frames[-8:]]
            raise AssertionError(f"not within {seconds} s: {self.connections=} {len(self.posts())=} {last=}") from None

    async def once(self) -> None:
        """One connection, to its end."""
        door = self.door()
        host, _, port = door.address.removeprefix("http://").partition(":")
        plug = socket.socket()
        plug.setblocking(False)
        if self.slow:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        await asyncio.get_running_loop().sock_connect(plug, (host, int(port)))
        reader, self._socket = await asyncio.open_connection(sock=plug, limit=2**17)
        try:
            frames = await self.open(reader, self._socket, door.headers, self.at)
            if frames is None:
                return
            self.connections += 1
            async with aclosing(frames):
                async for event, id, data in frames:
                    await self.reading.wait()
                    if self._socket.transport.is_closing():
                        return  # cut: what the socket had received by then is lost, too
                    self._take(Got(event, id, data, self.connections, time.monotonic()))
                    await asyncio.sleep(0)  # whoever waits for this frame can cut here
        finally:
            self._socket.transport.abort()

    async def _live(self) -> None:
        while True:
            with suppress(OSError, EOFError):
                await self.once()
            self._news.set()
            await asyncio.sleep(_RETRY_AT_MOST)

    def _take(self, got: Got) -> None:
        if got.id is not None:
            self.at = got.id
        self.frames.append(got)
        self._news.set()


def snapshot_came(reader: Reader) -> bool:
    return bool(reader.events("snapshot"))


def assert_exactly(reader: Reader, expected: dict[int, list[str]], *, raw_repeats: int | None = 0) -> None:
    """G2 and G3: of each author exactly these posts, in this order; no gap; ids that never go back.

    `raw_repeats` bounds how often a post came that had come already; None where a fault may write an event twice into the log.
    """
    came = reader.posts()
    first = list(dict.fromkeys(came))
    every = {post for posts in expected.values() for post in posts}
    assert not every - set(first), f"{len(every - set(first))} of {len(every)} are missing"
    assert not set(first) - every, f"{len(set(first) - every)} came that should not"
    if raw_repeats is not None:
        assert len(came) - len(first) <= raw_repeats, f"{len(came) - len(first)} repeats"
    for posts in expected.values():
        theirs = set(posts)
        assert [post for post in first if post in theirs] == posts, "an author's order is lost"
    assert not reader.events("gap")
    assert_ids_never_go_back(reader.frames)


def assert_ids_never_go_back(frames: Iterable[Got]) -> None:
    at: tuple[int, ...] | None = None
    for frame in frames:
        if frame.id is not None:
            place = cursor.decode(frame.id)
            # Compared here and not by the code that is on trial.
            assert at is None or all(map(int.__ge__, place.offsets, at)), (
                f"the id of {frame.event} goes back, {at} -> {place.offsets}"
            )
            at = place.offsets
