"""HAProxy's admin socket: what it is told while it runs, with no reload."""

import asyncio
from pathlib import Path

_WITHIN = 5.0
# The plain door and the wire of a node: one place in two backends. HAProxy before 3.1 has only the first.
_BACKENDS = ("stream", "wire")


class Refused(Exception):
    """HAProxy did not do what it was told; the text has the command and the answer."""


async def ask(socket: Path, command: str) -> str:
    """Its answer. Raises OSError or TimeoutError where nobody answers."""
    async with asyncio.timeout(_WITHIN):
        reader, writer = await asyncio.open_unix_connection(socket)
        try:
            writer.write(command.encode() + b"\n")
            return (await reader.read()).decode()
        finally:
            writer.close()


async def place(socket: Path, node: str, doors: tuple[str, str]) -> None:
    """New users whose hash says so go to the node from its first good health check on, before HAProxy 3.1 at once, so it must be
    ready; nobody else moves."""
    for backend, door in zip(_BACKENDS, doors, strict=True):
        host, _, port = door.rpartition(":")
        await _tell(socket, f"set server {backend}/{node} addr {host} port {port}")
    await _tell(socket, f"set server stream/{node} state ready")


async def drain(socket: Path, node: str) -> None:
    """Nobody new goes to the node; the streams that it has stay."""
    await _tell(socket, f"set server stream/{node} state drain")


async def clear(socket: Path, node: str) -> None:
    """The node's place is empty."""
    await _tell(socket, f"set server stream/{node} state maint")


async def streams(socket: Path, node: str) -> int:
    """How many requests the node has open now."""
    rows = [row.split(",") for row in (await ask(socket, "show stat")).splitlines()]
    return sum(int(row[4]) for row in rows if row[0] in _BACKENDS and row[1] == node)


async def is_up(socket: Path, node: str) -> bool:
    """Whether the edge has found it ready."""
    rows = [row.split(",") for row in (await ask(socket, "show stat")).splitlines()]
    return any(row[:2] == ["stream", node] and row[17].startswith("UP") for row in rows)


async def _tell(socket: Path, command: str) -> None:
    said = (await ask(socket, command)).strip()
    # No answer, or what it has changed: done. What HAProxy has no backend `wire` for needs none.
    if said and "changed" not in said and "no need to change" not in said and "No such backend" not in said:
        raise Refused(f"{command}: {said}")
