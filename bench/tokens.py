"""What checking a token costs HAProxy, and what its cache of verified ones saves: connections per second and core.

Each request is a connection of its own, as when a node's readers come back; no node is up, so HAProxy answers by itself.
Its worker's processor time is counted, so that other work on the machine matters little.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

from tests.integration.edge_system import Edge, binaries, edge
from tests.integration.edge_tokens import PRIME, RSA_KID, SECRET_KID

_TICK = os.sysconf("SC_CLK_TCK")
_CLIENTS = 8
_KINDS = (("ES256", PRIME), ("RS256", RSA_KID), ("HS256", SECRET_KID))


async def run(connections: int, threads: int) -> None:
    """Prints a line for each algorithm, on each HAProxy there is."""
    for binary in binaries():
        settings = {
            "EDGE_THREADS": str(threads),
            "TOKEN_CACHE": str(min(50_000, 3 * connections)),
            "LIMIT_CONNECTIONS": "1000000",
        }
        with tempfile.TemporaryDirectory() as directory:
            async with edge(binary, Path(directory), api=0, stream=0, settings=settings) as running:
                print(f"HAProxy {running.version}, threads: {threads}")
                await _cost(running, [""] * 500)
                bare = await _cost(running, [""] * connections)
                print(f"  {'no token':<8} {_line(bare, bare)}")
                for alg, kid in _KINDS:
                    exp = int(time.time()) + 3600
                    tokens = [running.mint.good(n + 1, alg=alg, kid=kid, exp=exp) for n in range(connections)]
                    for name, cost in (("cold", await _cost(running, tokens)), ("warm", await _cost(running, tokens))):
                        print(f"  {alg} {name}  {_line(cost, bare)}")


def _line(cost: float, bare: float) -> str:
    if not cost:
        return "less than can be measured: more connections, please"
    checked = f"{(cost - bare) * 1e6:6.0f} us of them for the token" if cost != bare else ""
    return f"{cost * 1e6:6.0f} us a connection, {1 / cost:7.0f} connections/s per core{checked}"


async def _cost(running: Edge, tokens: list[str]) -> float:
    """Seconds of processor time per connection."""

    async def ask(some: list[str]) -> None:
        for token in some:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            line = f"Authorization: Bearer {token}\r\n" if token else ""
            writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}\r\n".encode())
            head = await reader.read()
            assert head.startswith(b"HTTP/1.1 200" if token else b"HTTP/1.1 401"), head
            writer.close()

    before = _processor_seconds(running.process.pid)
    await asyncio.gather(*(ask(tokens[start::_CLIENTS]) for start in range(_CLIENTS)))
    return (_processor_seconds(running.process.pid) - before) / len(tokens)


def _processor_seconds(master: int) -> float:
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    fields = [Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split() for worker in workers]
    return sum(int(field[11]) + int(field[12]) for field in fields) / _TICK
