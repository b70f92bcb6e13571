"""Writes: posts per second through the edge, and how long an event takes from its action to Kafka, at once and by the sweep.

A system of its own, so that what it writes is nobody's; everything of it, and the load, share the machine.
"""

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomysql
import httpx
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from api.settings import Dsn
from bench.people import Account, sign_up
from bench.poster import Connection, cpu, quantile
from local.system import System
from store.events import EventType, Person, encode, new_event
from store.settings import Settings
from store.topic import ensure_topics

_PARTITIONS = 12
_HEAD = ("| writes through HAProxy, two API processes | /s | ms p50 | p99 |", "| --- | ---: | ---: | ---: |")


@dataclass(frozen=True, slots=True)
class Plan:
    """`connections` post one after the other, each as fast as it is answered; `left` rows are what a crash leaves to the sweep."""

    connections: int
    authors: int
    seconds: float
    rate: float
    left: int
    whole: bool
    keyed: bool


@dataclass(slots=True)
class Seen:
    """What has come out of Kafka: seconds from each event's time to its arrival here, by the author."""

    delays: dict[int, list[float]] = field(default_factory=dict)

    def count(self, authors: set[int]) -> int:
        return sum(len(self.delays.get(author, ())) for author in authors)

    def of(self, authors: set[int]) -> list[float]:
        return [delay for author in authors for delay in self.delays.get(author, ())]


def add_writes(commands: Any) -> None:
    """The subcommand and its arguments."""
    parser = commands.add_parser("writes", help="posts per second through the edge, and from an action to Kafka")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--authors", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=50, help="posts per second while the way to Kafka is measured")
    parser.add_argument("--left", type=int, default=2000, help="events that a crash has left to the sweep")
    parser.add_argument(
        "--whole", action="store_true", help="with storekeeper and stream nodes, which share the machine"
    )
    parser.add_argument("--keyed", action="store_true", help="each post with an Idempotency-Key")
    parser.set_defaults(run=_run_given)


def _run_given(given: argparse.Namespace) -> None:
    sizes = (given.connections, given.authors, given.seconds, given.rate, given.left)
    uvloop.run(run(Plan(*sizes, given.whole, given.keyed)))


async def run(plan: Plan) -> None:
    """Prints what it measured, at the end as a table for docs/performance.md."""
    only = None if plan.whole else ["haproxy", "api-1", "api-2"]
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        async with System(Path(directory), only=only, settings={"LIMIT_SIGN_IN": "1000000"}) as system:
            await ensure_topics(Settings.model_validate({name.lower(): value for name, value in system.env.items()}))
            async with httpx.AsyncClient(base_url=system.address, timeout=30, trust_env=False) as client:
                authors = await sign_up(client, plan.authors)
            seen = Seen()
            reading = asyncio.create_task(_read(system, seen))
            try:
                await asyncio.sleep(1)
                rows = [await _burst(plan, system, authors)]
                await _drained(system)
                seen.delays.clear()
                rows += await _steady(plan, system, authors, seen)
                rows += [await _swept(plan, system, seen)]
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
    print("\n".join(("", *_HEAD, *rows)))


def _row(what: str, per_second: float | None, seconds: list[float]) -> str:
    """A line of the table for docs/performance.md."""
    p50, p99 = (quantile(seconds, q) * 1000 for q in (0.5, 0.99))
    return f"| {what} | {'' if per_second is None else f'{per_second:,.0f}'} | {p50:,.1f} | {p99:,.1f} |"


async def _burst(plan: Plan, system: System, authors: list[Account]) -> str:
    """As fast as it goes."""
    took: list[float] = []
    until = time.monotonic() + plan.seconds
    before = {name: cpu(process.pid) for name, process in system.processes.items()}

    async def poster(number: int) -> None:
        turn = number
        connection = await Connection.open(system.address)
        while time.monotonic() < until:
            took.append(await connection.post(authors[turn % len(authors)], f"post {turn}", keyed=plan.keyed))
            turn += plan.connections
        connection.close()

    began = time.monotonic()
    await asyncio.gather(*(poster(number) for number in range(plan.connections)))
    seconds = time.monotonic() - began
    spent = {name: (cpu(process.pid) - before[name]) / len(took) * 1e6 for name, process in system.processes.items()}
    print("  CPU per post, us: " + "  ".join(f"{name} {us:.0f}" for name, us in spent.items() if us >= 1))
    return _row(f"posts on {plan.connections} connections, each as fast as it is answered", len(took) / seconds, took)


async def _steady(plan: Plan, system: System, authors: list[Account], seen: Seen) -> list[str]:
    """At a rate that leaves room. When everything stands still for a moment, waiting for a connection counts too."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(plan.connections):
        free.put_nowait(await Connection.open(system.address))
    took: list[float] = []

    async def one(number: int) -> None:
        began = time.monotonic()
        connection = await free.get()
        await connection.post(authors[number % len(authors)], f"steady {number}", keyed=plan.keyed)
        took.append(time.monotonic() - began)
        free.put_nowait(connection)

    began, tasks = time.monotonic(), []
    for number in range(int(plan.rate * plan.seconds)):
        await asyncio.sleep(max(0.0, began + number / plan.rate - time.monotonic()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    everybody = {author.id for author in authors}
    async with asyncio.timeout(60):
        while seen.count(everybody) < len(took):
            await asyncio.sleep(0.05)
    while not free.empty():
        free.get_nowait().close()
    return [
        _row("posts at a steady rate", plan.rate, took),
        _row("from these actions to a reader of Kafka, told at once", plan.rate, seen.of(everybody)),
    ]


async def _swept(plan: Plan, system: System, seen: Seen) -> str:
    """Rows such as a process leaves that was killed between its commits and Kafka."""
    authors = set(range(2**40, 2**40 + 50))
    rows = []
    now = datetime.now(UTC)
    for number in range(plan.left):
        author = 2**40 + number % len(authors)
        event = new_event(EventType.POST, Person(author, "gone"), {"id": number, "text": f"left {number}"}, now=now)
        rows.append((author, event.id, event.type, encode(event).decode(), now))
    dsn = Dsn.parse(system.env["MYSQL_PRIMARY"])
    conn = await aiomysql.connect(dsn.host, dsn.user, dsn.password, dsn.database, dsn.port, charset="utf8mb4")
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO outbox (actor, event_id, type, body, created_at) VALUES (%s, %s, %s, %s, %s)", rows
        )
    await conn.commit()
    conn.close()
    async with asyncio.timeout(120):
        while seen.count(authors) < plan.left:
            await asyncio.sleep(0.02)
    return _row(f"the same for {plan.left:,} events that a crash has left, swept", None, seen.of(authors))


async def _drained(system: System) -> None:
    """Returns when nothing waits in the outbox."""
    address = system.processes["api-1"].addresses[0]
    began = time.monotonic()
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
        while (await client.get(f"{address}/readyz")).json()["outbox"]["waiting"]:
            await asyncio.sleep(0.1)
    print(f"  the outbox was empty {time.monotonic() - began:.1f} s after the last answer, seen twice a second")


async def _read(system: System, seen: Seen) -> None:
    reader = AIOKafkaConsumer(bootstrap_servers=system.env["KAFKA_SERVERS"], auto_offset_reset="latest")
    reader.assign([TopicPartition("feed.events", number) for number in range(_PARTITIONS)])
    await reader.start()
    try:
        while True:
            for records in (await reader.getmany(timeout_ms=1000)).values():
                now = time.time()
                for record in records:
                    at = datetime.fromisoformat(json.loads(record.value)["at"]).timestamp()
                    seen.delays.setdefault(int(record.key), []).append(now - at)
    finally:
        await reader.stop()
