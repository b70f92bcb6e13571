"""Edges of a test's own, with the project's configuration, before nodes that run already: one for each door of theirs."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

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
        yield f"http://{address}"
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(_END_WITHIN):
            await process.wait()


async def _answers(address: str) -> bool:
    with suppress(OSError):
        await get(address, "/healthz")
        return True
    return False
