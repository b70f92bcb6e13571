"""Edges of a test's own, with the project's configuration, before nodes that run already: one for each door of theirs."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from local.http_check import get
from local.install_edge import ensure_haproxy
from local.place import PROJECT
from local.ports import free_port
from local.system import System

DOORS = pytest.mark.parametrize("door", ["wire", "plain"])
_READY_WITHIN = 15
_END_WITHIN = 10


@asynccontextmanager
async def edge_before(
    system: System, door: str, nodes: Mapping[str, str] | None = None, **settings: str
) -> AsyncIterator[str]:
    """The address of an edge that opens streams at this door. `nodes` (STREAM_1, STREAM_WIRE_1, ...) stand in for the system's."""
    port, stats = free_port(), free_port()
    address = f"127.0.0.1:{port}"
    places = system.site.place
    if door == "wire":
        skip_without_the_wire(system)
    told = {name: value for name, value in system.env.items() if not (nodes and name.startswith("STREAM_"))}
    binds = {"EDGE_BIND": address, "STATS_BIND": f"127.0.0.1:{stats}", "ADMIN_SOCKET": str(places.sockets / f"{port}")}
    with (places.logs / f"edge-{port}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(ensure_haproxy(places.software)), "-W", "-db", "-f", "haproxy/haproxy.cfg"),
            cwd=PROJECT,
            env={**os.environ, **told, **(nodes or {}), **binds, "STREAM_DOOR": door, **settings},
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(_READY_WITHIN):
            while not await _answers(address):
                assert process.returncode is None, f"it has ended: see {log.name}"
                await asyncio.sleep(0.02)
        assert_opens_at(door, Path(log.name))
        yield f"http://{address}"
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(_END_WITHIN):
            await process.wait()


def skip_without_the_wire(system: System) -> None:
    """Skips the test where HAProxy is one that streams cannot share connections of. Elsewhere nothing is an excuse."""
    binary = ensure_haproxy(system.site.place.software)
    said = subprocess.run([str(binary), "-v"], capture_output=True, text=True, timeout=10, check=True).stdout
    version = re.search(r"version (\d+)\.(\d+)", said)
    assert version, said
    if (int(version[1]), int(version[2])) < (3, 1):
        pytest.skip("HAProxy is older than 3.1: it knows no wire")


def assert_opens_at(door: str, log: Path) -> None:
    """What an edge has said of itself at its start."""
    said = log.read_text()
    assert f"at the nodes' {door} door" in said, f"the edge has another door: {said[-2000:]}"


async def _answers(address: str) -> bool:
    with suppress(OSError):
        await get(address, "/healthz")
        return True
    return False
