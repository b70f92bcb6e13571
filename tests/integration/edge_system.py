"""A real HAProxy with the project's own configuration, before stand-in nodes; and a client that sends exact bytes."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.edge_answer import Answer, parse
from tests.integration.edge_node import Node, node
from tests.integration.edge_tokens import Mint

PROJECT = Path(__file__).parents[2]
SECRET = "a secret of the edge % and its nodes"
_READY_WITHIN = 20
_ANSWER_WITHIN = 20
_END_WITHIN = 5


def binaries() -> list[str]:
    """The versions to test: HAPROXY_BINARIES (colon separated), else the one on PATH and the one that `local` keeps."""
    if given := os.environ.get("HAPROXY_BINARIES"):
        return given.split(":")
    kept = PROJECT / ".local" / "software" / "haproxy"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    found = [shutil.which("haproxy", path=path), str(kept) if kept.exists() else None]
    by_version = {version_of(binary): binary for binary in found if binary}
    return list(by_version.values()) or ["haproxy"]


def version_of(binary: str) -> str:
    try:
        said = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=10, check=True).stdout
    except OSError:
        return "missing"
    match = re.search(r"version (\d+\.\d+)", said)
    return match[1] if match else "unknown"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has_wire(binary: str) -> bool:
    """Whether an HAProxy can open streams at the wire of nodes."""
    return tuple(map(int, re.findall(r"\d+", version_of(binary)))) >= (3, 1)


def ways() -> "list[tuple[str, str]]":
    """Every version with every door of the nodes that it can open streams at."""
    return [(binary, door) for binary in binaries() for door in (("plain", "wire") if has_wire(binary) else ("plain",))]


def name_of(way: "tuple[str, str]") -> str:
    return f"{version_of(way[0])}-{way[1]}"


@dataclass
class Edge:
    """A running edge. `ask` sends one request on a connection of its own."""

    binary: str
    port: int
    stats: int
    socket: Path
    log: Path
    mint: Mint
    nodes: dict[str, Node]
    process: asyncio.subprocess.Process

    @property
    def version(self) -> str:
        return version_of(self.binary)

    async def ask(
        self,
        target: str,
        *headers: tuple[str, str],
        method: str = "GET",
        token: str | None = None,
        body: bytes = b"",
        host: str | None = "localhost",
        port: int | None = None,
    ) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", "Connection: close"]
        lines += [f"Host: {host}"] if host is not None else []
        lines += [f"Authorization: Bearer {token}"] if token is not None else []
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}"] if body else []
        return await self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, port)

    async def send(self, request: bytes, port: int | None = None) -> Answer:
        async with asyncio.timeout(_ANSWER_WITHIN):
            reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port)
            writer.write(request)
            received = await reader.read()
            writer.close()
        return parse(received)

    async def command(self, line: str) -> str:
        """What the admin socket answers."""
        reader, writer = await asyncio.open_unix_connection(self.socket)
        writer.write(line.encode() + b"\n")
        async with asyncio.timeout(_ANSWER_WITHIN):
            said = await reader.read()
        writer.close()
        return said.decode()

    async def until_up(self, backend: str, count: int) -> None:
        """Waits until that many servers of the backend are up."""
        async with asyncio.timeout(_READY_WITHIN):
            while await self._up(backend) != count:
                await asyncio.sleep(0.05)

    async def _up(self, backend: str) -> int:
        rows = [row.split(",") for row in (await self.command("show stat")).splitlines()]
        return sum(
            row[0] == backend and row[1][-2:-1] == "-" and row[17].startswith("UP") for row in rows if len(row) > 17
        )

    def logged(self) -> str:
        return self.log.read_text(errors="replace")


@asynccontextmanager
async def edge(
    binary: str,
    directory: Path,
    *,
    api: int = 1,
    stream: int = 2,
    settings: Mapping[str, str] | None = None,
    project: Path = PROJECT,
) -> AsyncIterator[Edge]:
    """An edge before that many stand-ins, ready, and ended with them. `project` holds the configuration."""
    keys = directory / "public"
    keys.mkdir()
    async with AsyncExitStack() as stack:
        names = [f"api-{n + 1}" for n in range(api)] + [f"stream-{n + 1}" for n in range(stream)]
        nodes = {name: await stack.enter_async_context(node(name)) for name in names}
        addresses = {name.upper().replace("-", "_"): standing.address for name, standing in nodes.items()}
        wires = {f"STREAM_WIRE_{n + 1}": nodes[f"stream-{n + 1}"].wire for n in range(stream)}
        port, stats = free_port(), free_port()
        environment = {
            "EDGE_BIND": f"127.0.0.1:{port}",
            "STATS_BIND": f"127.0.0.1:{stats}",
            "ADMIN_SOCKET": str(directory / "admin.sock"),
            "EDGE_SECRET": SECRET,
            "TOKEN_KEYS": str(keys),
            "LIMIT_SIGN_IN": "100000",
            **addresses,
            **wires,
            **(settings or {}),
        }
        log = directory / "edge.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(binary, "-W", "-db", "-f", "haproxy/haproxy.cfg"),
                cwd=project,
                env={"PATH": os.environ.get("PATH", ""), **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        stack.push_async_callback(_end, process)
        running = Edge(binary, port, stats, directory / "admin.sock", log, Mint(keys), nodes, process)
        await _until_answering(running)
        for backend, count in (("api", api), ("stream", stream)):
            if count:
                await running.until_up(backend, count)
        yield running


async def _until_answering(running: Edge) -> None:
    async with asyncio.timeout(_READY_WITHIN):
        while True:
            assert running.process.returncode is None, running.logged()
            try:
                await running.ask("/healthz")
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_END_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
