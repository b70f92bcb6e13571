"""The way in without the API: tokens signed and events published by the bench itself, so that streams alone are measured."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from api.numbers import raise_next
from api.pool import Pool
from api.settings import Dsn
from store.broker import Publisher
from store.events import EventType, Person, Record, encode, new_event, record_of
from store.settings import Settings
from store.tokens import Signer

_FIRST_ID = 10**9  # far above every id that the API gives


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the running system."""

    name: str
    pid: int
    addresses: list[str]


def processes(directory: Path) -> dict[str, Process]:
    """What runs, by name. Ends the bench with the remedy if nothing does."""
    command = [sys.executable, "-m", "local", "--dir", str(directory), "status", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    rows = json.loads(told) if told.strip().startswith("[") else []
    found = {row["name"]: Process(row["name"], row["pid"], row["addresses"]) for row in rows if row["pid"]}
    if "haproxy" not in found:
        raise SystemExit(f"no system runs in {directory}: `make up` starts one")
    return found


@dataclass(frozen=True, slots=True)
class Direct:
    """Signs and publishes. Ids of authors and readers are the bench's own, new ones for every run."""

    publisher: Publisher
    signer: Signer
    base: int

    def token(self, uid: int) -> str:
        """A token for a session that nobody has ended."""
        return self.signer.sign(uid, str(uuid4()))[0]

    def record(self, author: int, type: EventType, object: dict[str, object]) -> tuple[str, Record]:
        """An event's id and its record."""
        event = new_event(type, Person(author, f"b{author}"), object)
        return event.id, record_of(event.id, type, author, encode(event))

    async def follow(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Each first one follows each second one."""
        for start in range(0, len(pairs), 1000):
            some = pairs[start : start + 1000]
            made = [self.record(a, EventType.FOLLOW, {"id": b, "username": f"b{b}", "seq": 1})[1] for a, b in some]
            await self.publisher.publish(made)

    async def post(self, author: int, number: int, text: str) -> str:
        """The id of a new post's event, when Kafka has it."""
        event_id, record = self.record(author, EventType.POST, {"id": number, "text": text})
        await self.publisher.publish([record])
        return event_id


@asynccontextmanager
async def direct(directory: Path) -> AsyncIterator[Direct]:
    """Opens the way in to the system that runs in `directory`."""
    lines = (directory / "env").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    os.environ.update({name: value.strip("'\"") for name, value in told.items()})
    settings = Settings.read()
    signer = Signer(Path(os.environ["TOKEN_SIGNING_KEY"]), settings.token_issuer, settings.token_audience, 3600)
    base = _FIRST_ID + int(asyncio.get_running_loop().time() * 1000) % 10**6 * 10**5
    # The archive will know these numbers: a MySQL that has not given them out would be taken for one that was set back.
    async with Pool("primary", Dsn.parse(os.environ["MYSQL_PRIMARY"])) as primary, primary.connection(10) as conn:
        for table in ("users", "posts"):
            await raise_next(conn, table, base + 10**6)
    async with Publisher(settings) as publisher:
        yield Direct(publisher, signer, base)


def resident_kb(pid: int) -> int:
    """What the process holds in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def cpu_seconds(pid: int) -> float:
    """What the process has used of the processors, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
