"""Prints what checking a token costs HAProxy: `python -m tests.integration.edge_speed` in the project's root.

Expired tokens are sent, so that the whole check is made and no node is asked; the cost of a request without a token is
taken off. Processor time of the worker, so that other work on the machine matters little. Two threads wait for each
other's Lua by spinning, which counts too.
"""

import asyncio
import itertools
import os
import tempfile
import time
from pathlib import Path

from tests.integration.edge_system import Edge, binaries, edge
from tests.integration.edge_tokens import PRIME, RSA_KID, SECRET_KID

_REQUESTS = 10_000
_CLIENTS = 8
_TICK = os.sysconf("SC_CLK_TCK")


def _processor_seconds(master: int) -> float:
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    fields = [Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split() for worker in workers]
    return sum(int(field[11]) + int(field[12]) for field in fields) / _TICK


async def _cost(running: Edge, tokens: list[str]) -> float:
    """Seconds of processor time per request."""

    async def ask(some: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        for token in some:
            line = f"Authorization: Bearer {token}\r\n" if token else ""
            writer.write(f"GET /v1/me HTTP/1.1\r\nHost: x\r\n{line}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 401 " in head.splitlines()[0]
            await reader.readuntil(b"}")
        writer.close()

    before = _processor_seconds(running.process.pid)
    await asyncio.gather(*(ask(tokens[start::_CLIENTS]) for start in range(_CLIENTS)))
    return (_processor_seconds(running.process.pid) - before) / len(tokens)


async def main() -> None:
    for binary, threads in itertools.product(binaries(), ("1", "2")):
        with tempfile.TemporaryDirectory() as directory:
            async with edge(binary, Path(directory), settings={"EDGE_THREADS": threads}) as running:
                print(f"HAProxy {running.version}, threads: {threads}")
                await _cost(running, [""] * 1000)
                base = await _cost(running, [""] * _REQUESTS)
                print(f"  no token  {base * 1e6:6.0f} us a request")
                for alg, kid in (("ES256", PRIME), ("RS256", RSA_KID), ("HS256", SECRET_KID)):
                    past = int(time.time()) - 1
                    tokens = [running.mint.good(n + 1, alg=alg, kid=kid, exp=past) for n in range(_REQUESTS)]
                    spent = await _cost(running, tokens) - base
                    print(f"  {alg}     {spent * 1e6:6.0f} us a token, {1 / spent:7.0f} tokens/s per core")


if __name__ == "__main__":
    asyncio.run(main())
