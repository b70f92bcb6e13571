"""The load client: compiled when it is first needed, spoken to by lines."""

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import pack

from bench.compare.scenario import Scenario, readers, reads

_SOURCES = Path(__file__).parent / "client"
_ANSWER_WITHIN = 60.0  # seconds beyond what a command itself may take

Told = dict[str, float]


def compiled(directory: Path) -> Path:
    """The client's program, kept in `directory` under a name that changes with its source."""
    files = sorted(_SOURCES.glob("*.[ch]"))
    mark = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    program = directory / f"load-{mark}"
    if program.exists():
        return program
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit("the load client is written in C and there is no C compiler: `apt-get install gcc libc6-dev`")
    directory.mkdir(parents=True, exist_ok=True)
    sources = [str(file) for file in files if file.suffix == ".c"]
    made = program.with_suffix(".new")
    done = subprocess.run(
        (compiler, "-O2", "-Wall", "-o", str(made), *sources), capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise SystemExit(f"{compiler} cannot compile the load client:\n{done.stderr}")
    made.rename(program)
    return program


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is asked for a stream. `live` and `resumed` are what it says when it has begun, "" for nothing."""

    live: str = ""
    resumed: str = ""
    cursors: bool = True
    websocket: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """A running client. Every answer holds counts since the last `reset`, delays in microseconds, and the client's CPU seconds."""

    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def open(self, at_once: int, seconds: float = 120) -> Told:
        """Opens every stream that is not open; `at_once` are on their way at a time."""
        return await self.ask(f"open {at_once} {seconds}", seconds)

    async def wait(self, deliveries: int, seconds: float = 120, idle: float = 3) -> Told:
        """Until so many have arrived, or nothing has for `idle` seconds."""
        return await self.ask(f"wait {deliveries} {seconds} {idle}", seconds)

    async def settle(self, published: Counter[int]) -> Told:
        """Counts as lost whatever each reader still lacks of these authors."""
        return await self.ask("settle " + " ".join(f"{author} {number}" for author, number in published.items()))

    async def ask(self, command: str, seconds: float = 0) -> Told:
        """The answer to a command (see load.c)."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(command.encode() + b"\n")
        answer = await asyncio.wait_for(self.process.stdout.readline(), seconds + _ANSWER_WITHIN)
        if not answer:
            raise RuntimeError(f"the load client ended at `{command.split(maxsplit=1)[0]}`: what it said is above")
        told: Told = json.loads(answer)
        return told


@asynccontextmanager
async def running(
    directory: Path, scenario: Scenario, port: int, way: Way, heads: Sequence[bytes]
) -> AsyncIterator[Load]:
    """The client for the scenario's streams. `heads` are their requests, without the empty line at the end."""
    plan = directory / "plan"
    plan.write_bytes(_plan(scenario, heads))
    kind = "ws" if way.websocket else "sse"
    arguments = (str(port), str(plan), str(scenario.authors), kind, way.live, way.resumed, str(int(way.cursors)))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        str(compiled(directory.parent)), *arguments, stdin=pipe, stdout=pipe, limit=2**20
    )
    try:
        yield Load(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()  # it ends when nobody speaks to it any more
        await asyncio.wait_for(process.wait(), 30)


def _plan(scenario: Scenario, heads: Sequence[bytes]) -> bytes:
    parts = [pack("<I", len(heads))]
    for uid, head in zip(readers(scenario), heads, strict=True):
        authors = reads(uid, scenario.authors, scenario.followed)
        listed = pack("<H", len(authors)) + authors.tobytes()
        parts += [pack("<I", len(head)), head, bytes(-len(head) % 4), listed, bytes(-len(listed) % 4)]
    return b"".join(parts)
