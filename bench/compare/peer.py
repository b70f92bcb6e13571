"""What every server that is compared must be able to do."""

import asyncio
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self

from bench.compare import meter
from bench.compare.load import Way
from bench.compare.posts import Post
from bench.compare.scenario import Position, Scenario, readers, reads
from local.child import Child, end, spawn, tail_of
from local.ports import free_port
from local.spec import Spec, nothing_to_do

_READY_WITHIN = 60.0
_END_WITHIN = 5.0
_UPGRADE = (
    *("Upgrade: websocket", "Connection: Upgrade"),
    *("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
)


class Missing(Exception):
    """The server is not on this machine; the text says where it was looked for."""


class Peer(ABC):
    """A server, started for one run. `port` is where streams are opened; `h2` is set if HAProxy speaks h2c to it."""

    name = ""
    way = Way()
    h2 = False
    positions = frozenset((Position.ALONE, Position.BARE))
    at_once = 500  # streams that are on their way at a time, when all are opened

    def __init__(self, scenario: Scenario, directory: Path) -> None:
        """`directory` is empty, and this run's own."""
        self.scenario, self.directory = scenario, directory
        self.port = free_port()
        self.stack = AsyncExitStack()
        self._children: list[Child] = []

    @abstractmethod
    async def start(self) -> None:
        """Returns when it takes streams and posts."""

    @abstractmethod
    async def publish(self, posts: Sequence[Post]) -> None:
        """Gives it these posts, in this order, as one batch where it has such a thing."""

    @abstractmethod
    def target(self, uid: int, authors: Sequence[int]) -> str:
        """The path and query that open the stream of a reader."""

    def edge_environment(self) -> Mapping[str, str]:
        """What the project's own HAProxy must know of it."""
        return {}

    @property
    def pids(self) -> list[int]:
        """Its processes; those below them count too."""
        return [child.pid for child in self._children]

    def lines(self, uid: int, position: Position) -> tuple[str, ...]:  # noqa: ARG002
        """The lines that say who asks, to whoever is asked there."""
        return ()

    def heads(self, position: Position) -> list[bytes]:
        """The requests of all readers, without the empty line at their end."""
        shared = ("Host: bench", *(_UPGRADE if self.way.websocket else ("Accept: text/event-stream",)))
        made = []
        for uid in readers(self.scenario):
            authors = reads(uid, self.scenario.authors, self.scenario.followed)
            first = f"GET {self.target(uid, authors)} HTTP/1.1"
            lines = (first, *shared, *self.lines(uid, position))
            made.append("".join(f"{line}\r\n" for line in lines).encode())
        return made

    async def run(self, *command: str, env: Mapping[str, str] | None = None, port: int | None = None) -> Child:
        """Starts a process of the server; waits until it listens on `port`. It ends with this run."""
        log = self.directory / f"{Path(command[0]).name}-{len(self._children)}.log"
        # Killed outright, some would leave their own children behind.
        spec = Spec(self.name, command, nothing_to_do, environment=env or {}, death_signal=signal.SIGTERM)
        child = await spawn(spec, log)
        self._children.append(child)
        if port is not None:
            await listening(child, port, log)
        return child

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        below = set(meter.tree(self.pids)) - set(self.pids)
        for child in self._children:
            await end(child, signal.SIGTERM, _END_WITHIN)
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.stack.aclose()


async def listening(child: Child, port: int, log: Path) -> None:
    """Returns when somebody takes connections there. Raises RuntimeError with the end of the log if the process ends before."""
    deadline = asyncio.get_running_loop().time() + _READY_WITHIN
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            if child.returncode is not None or asyncio.get_running_loop().time() > deadline:
                raise RuntimeError(f"nobody listens on {port}; the end of {log}:\n{tail_of(log)}") from None
            await asyncio.sleep(0.05)
