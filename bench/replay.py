"""A client that comes back after minutes: how fast the ring gives it what it missed, with MongoDB stopped meanwhile."""

import asyncio
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.direct import direct, processes
from bench.resume import Client
from store.events import EventType

_FOLLOWED = (20, 200)


@dataclass(frozen=True, slots=True)
class Plan:
    """`events` in all, from `authors`, were missed: five minutes at 100 a second, unless told otherwise."""

    directory: Path
    authors: int
    events: int


async def run(plan: Plan) -> None:
    """Prints how long a replay takes, for readers who follow few and many of the authors."""
    edge = urlsplit(processes(plan.directory)["haproxy"].addresses[0])
    address = (edge.hostname or "", edge.port or 80)
    async with direct(plan.directory) as way:
        authors = list(range(way.base + 1, way.base + 1 + plan.authors))
        readers = {authors[-1] + 1 + n: random.sample(authors, followed) for n, followed in enumerate(_FOLLOWED)}
        await way.follow([(reader, author) for reader, followed in readers.items() for author in followed])
        await asyncio.sleep(2)
        clients = {reader: Client(address, way.token(reader)) for reader in readers}
        for client in clients.values():  # once, so that it has a cursor, and the node knows whom it follows
            await client.connect()
            await _until(lambda client=client: client.last)
            client.close()
        posted: list[int] = []
        for _ in range(0, plan.events, 1000):
            some = [random.choice(authors) for _ in range(1000)]
            posted += some
            records = [
                way.record(author, EventType.POST, {"id": n, "text": "x" * 80})[1] for n, author in enumerate(some)
            ]
            await way.publisher.publish(records)
        print(f"{len(posted)} events of {plan.authors} authors missed; MongoDB is stopped now")
        _local(plan, "stop", "mongo")
        try:
            for reader, client in clients.items():
                missed = sum(1 for author in posted if author in set(readers[reader]))
                client.got.clear()
                began = time.monotonic()
                await client.connect()
                await _until(lambda client=client, missed=missed: client.got.total() >= missed)
                took = time.monotonic() - began
                print(
                    f"  following {len(readers[reader])}: {client.got.total()} of {missed} events after {took:.2f} s "
                    f"({missed / took:.0f}/s), {client.gaps} gaps"
                )
                client.close()
        finally:
            _local(plan, "start", "mongo")


def _local(plan: Plan, *words: str) -> None:
    command = [sys.executable, "-m", "local", "--dir", str(plan.directory), *words]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)


async def _until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)
