"""Beside the system: nodes of a test's own, readers past the edge, and events written straight into the log, in any size."""

import asyncio
import itertools
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

from api.numbers import raise_next
from api.pool import Pool
from api.rows import execute
from api.settings import Dsn
from local.http_check import expect_200
from local.ports import free_port
from local.system import System
from store.broker import Publisher
from store.events import EventType, Record, encode, new_event, record_of
from store.events import Person as Actor
from store.settings import Settings
from store.tokens import Signer
from tests.doors import edge_before
from tests.faults.bare import Door, Reader

_PROJECT = Path(__file__).parents[2]
_FAR = 4_000_000_000  # an expiry that no test lives to see
_AT_ONCE = 50
_COME_AT_ONCE = 100
_MADE_UP = range(10**9, 10**13)  # users that `uid` makes up; MySQL gives out none of these
_READY_WITHIN = 60  # seconds, where other things run beside
_BINDS = {"stream": "STREAM_BIND", "tests.faults.hasty": "STREAM_BIND", "store": "STOREKEEPER_BIND"}


@dataclass
class OneMore:
    """A process of ours with settings of its own."""

    address: str
    wire: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024


@dataclass
class Beside:
    """Users are numbers that nobody has: a node asks for no account. Each is new, so tests don't see each other."""

    system: System
    publisher: Publisher
    client: httpx.AsyncClient
    _uids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(random.randrange(10**9, 10**12)))

    def uid(self) -> int:
        return next(self._uids)

    def door(self, address: str, uid: int) -> Door:
        """A stream of the user straight at a node, asked for as the edge would ask."""
        told = {"X-User-Id": str(uid), "X-Session-Id": str(uuid4()), "X-Token-Exp": str(_FAR)}
        return Door(address, (("X-Edge-Secret", self.system.env["EDGE_SECRET"]), *told.items()))

    def door_of_edge(self, address: str, uid: int) -> Door:
        """A stream of the user through an edge, with a token."""
        return Door(address, (("Authorization", f"Bearer {self.token(uid)}"),))

    def token(self, uid: int) -> str:
        """One that nobody asked the API for, of a session that nobody has ended."""
        env = self.system.env
        signer = Signer(Path(env["TOKEN_SIGNING_KEY"]), env["TOKEN_ISSUER"], env["TOKEN_AUDIENCE"], 3600)
        return signer.sign(uid, str(uuid4()))[0]

    def edge(self, door: str, *nodes: OneMore, **settings: str) -> AbstractAsyncContextManager[str]:
        """An edge before these nodes alone, which opens streams at this door of theirs; its address."""
        told: dict[str, str] = {}
        for number, node in enumerate(nodes, 1):
            told |= {f"STREAM_{number}": node.address, f"STREAM_WIRE_{number}": node.wire}
        return edge_before(self.system, door, told, **settings)

    async def follow(self, follower: int, followees: Iterable[int], seq: int = 1, *, on: bool = True) -> None:
        type = EventType.FOLLOW if on else EventType.UNFOLLOW
        made = [_record(follower, type, id=followee, username="x", seq=seq) for followee in followees]
        if follower not in _MADE_UP:
            await _know_of(self.system, follower, [event_id for event_id, _ in made])
        await self.publisher.publish([record for _, record in made])

    async def post(self, author: int, count: int = 1, size: int = 0) -> list[str]:
        """The ids of `count` posts of `size` characters."""
        made = [_record(author, EventType.POST, id=n, text="x" * size) for n in range(1, count + 1)]
        for some in range(0, count, _AT_ONCE):
            await self.publisher.publish([record for _, record in made[some : some + _AT_ONCE]])
        return [event_id for event_id, _ in made]

    def posted(self, author: int, post: int) -> tuple[str, Record]:
        """The id and the record of a post, which nobody has been told of."""
        return _record(author, EventType.POST, id=post, text="x")

    def deleted(self, author: int, post: int) -> tuple[str, Record]:
        """The same of its deletion."""
        return _record(author, EventType.POST_DELETED, id=post)

    @asynccontextmanager
    async def reading(self, *readers: Reader) -> AsyncIterator[None]:
        """All of them, live: each has its snapshot, or came with a cursor and has its hello. They come some at a time."""
        async with AsyncExitStack() as stack:
            for first in range(0, len(readers), _COME_AT_ONCE):
                async with asyncio.TaskGroup() as group:
                    for reader in readers[first : first + _COME_AT_ONCE]:
                        await stack.enter_async_context(reader)
                        group.create_task(reader.until(lambda r: bool(r.at and r.events("hello")), 60))
            yield

    def node(self, package: str = "stream", **settings: str) -> AbstractAsyncContextManager[OneMore]:
        """One more stream node, ready, which the edge does not know. Its settings are those of the system, and these."""
        return one_more(self.system, package, {"NODE_NAME": "extra", **settings})


@asynccontextmanager
async def one_more(
    system: System, package: str, settings: Mapping[str, str], end: signal.Signals = signal.SIGKILL
) -> AsyncIterator[OneMore]:
    """One more process of ours, ready, at an address of its own; ended in that way at the end of the block."""
    address, wire = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    binds = {_BINDS[package]: address, "STREAM_WIRE_BIND": wire}
    environment = {**os.environ, **system.env, **binds, **settings}
    log = system.site.place.logs / f"{address}.log"
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", package), cwd=_PROJECT, env=environment, stderr=out
        )
    try:
        async with asyncio.timeout(_READY_WITHIN):
            while not await _is_ready(address):
                assert process.returncode is None, f"it has ended: {log.read_text()[-2000:]}"
                await asyncio.sleep(0.05)
        yield OneMore(address, wire, process, log)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(end)
        await process.wait()


async def _is_ready(address: str) -> bool:
    with suppress(OSError, RuntimeError):
        await expect_200(address, "/readyz")
        return True
    return False


@asynccontextmanager
async def beside_of(system: System) -> AsyncIterator[Beside]:
    settings = Settings.model_validate({name.lower(): value for name, value in system.env.items()})
    await _give_out_above(system, _MADE_UP.stop)
    async with Publisher(settings) as publisher, httpx.AsyncClient(timeout=20) as client:
        yield Beside(system, publisher, client)


async def _know_of(system: System, author: int, event_ids: Sequence[str]) -> None:
    """MySQL is to know the newest event of somebody who has an account, or it would be taken for one that was set back."""
    sql = "UPDATE last_events SET event_id = GREATEST(event_id, %s) WHERE author = %s"
    async with Pool("primary", Dsn.parse(system.env["MYSQL_PRIMARY"])) as primary, primary.connection(10) as conn:
        await execute(conn, sql, max(event_ids, default=""), author)


async def _give_out_above(system: System, number: int) -> None:
    """MySQL is to know the numbers that nobody has, or it would be taken for one that was set back."""
    async with Pool("primary", Dsn.parse(system.env["MYSQL_PRIMARY"])) as primary, primary.connection(10) as conn:
        for table in ("users", "posts"):
            await raise_next(conn, table, number)


def _record(actor: int, type: EventType, **object: object) -> tuple[str, Record]:
    event = new_event(type, Actor(actor, f"u{actor}"), object)
    return event.id, record_of(event.id, type, actor, encode(event))
