"""What a delivery and a connect cost each node, and the edge, with 1, 2 and 4 nodes: CPU, since all share the same cores.

A system of its own, whose users are numbers; events are written straight into the log.
"""

import argparse
import asyncio
import logging
import os
import random
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import uvloop

from bench.readers import Reader, Tally
from local import limits
from local.system import System
from store.broker import Publisher
from store.events import EventType, Person, Record, encode, new_event, record_of
from store.settings import Settings
from store.tokens import Signer

_COUNTS = (1, 2, 4)
_TICK = os.sysconf("SC_CLK_TCK")
_AUTHORS = 50
_LIVE_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`readers` for each node, each of whom follows `followed` of 50 authors; `rate` posts a second, one by one, for `seconds`."""

    readers: int
    followed: int
    rate: int
    seconds: float


def add_scale(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`scale`, and what it takes."""
    parser = commands.add_parser("scale", help="CPU per delivery and connect with 1, 2 and 4 nodes")
    parser.add_argument("--readers", type=int, default=200, help="for each node")
    parser.add_argument("--followed", type=int, default=20, help="how many of 50 authors each reader follows")
    parser.add_argument("--rate", type=int, default=100, help="posts per second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.set_defaults(run=lambda g: uvloop.run(run(Plan(g.readers, g.followed, g.rate, g.seconds))))


async def run(plan: Plan) -> None:
    """Prints a block for each number of nodes."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of a Kafka that is still starting
    with tempfile.TemporaryDirectory() as directory:
        settings = {**limits.BENCH, "DRAIN": "1", "STREAMS_PER_NODE": "100000"}
        async with System(directory, settings=settings) as system:
            await grow(system, plan, _COUNTS)


async def grow(system: System, plan: Plan, counts: Iterable[int]) -> None:
    """Measures the system with so many nodes, one count after another."""
    known = Settings.model_validate({name.lower(): value for name, value in system.env.items()})
    async with Publisher(known) as publisher:
        print(f"{plan.readers} readers a node, each following {plan.followed} of {_AUTHORS}; {plan.rate} posts/s")
        for count in counts:
            async for _ in system.fleet.scale(count):
                pass
            await _measure(system, publisher, replace(plan, readers=plan.readers * count))


async def _measure(system: System, publisher: Publisher, plan: Plan) -> None:
    base = random.randrange(10**9, 10**12)
    authors, readers = range(base, base + _AUTHORS), range(base + _AUTHORS, base + _AUTHORS + plan.readers)
    follows = [(reader, author) for reader in readers for author in random.sample(authors, plan.followed)]
    records = [_record(one, EventType.FOLLOW, id=other, username="x", seq=1) for one, other in follows]
    for some in range(0, len(records), 500):
        await publisher.publish(records[some : some + 500])
    await asyncio.sleep(3)  # until nodes and storekeeper have read it
    watched = [*system.site.stream_nodes, "haproxy"]
    began = {name: _cpu(system, name) for name in watched}
    tally, transports = await _open(system, readers)
    opened = {name: _cpu(system, name) for name in watched}
    tally.delays.clear()
    await _post(publisher, authors, plan)
    await asyncio.sleep(1)
    ended = {name: _cpu(system, name) for name in watched}
    for transport in transports:
        transport.abort()

    nodes = len(watched) - 1
    got, delays = len(tally.delays), sorted(tally.delays)
    expected = plan.rate * plan.seconds * plan.readers * plan.followed / _AUTHORS
    print(f"nodes: {nodes}; {got} deliveries ({expected:.0f} on average), p50 {delays[got // 2] * 1e3:.0f} ms")
    for name in watched:
        share = 1 if name == "haproxy" else nodes
        connect = (opened[name] - began[name]) / plan.readers * share
        delivery = (ended[name] - opened[name]) / got * share
        print(
            f"  {name:<10} {(ended[name] - opened[name]) / (plan.seconds + 1) * 100:5.1f} % of a core,"
            f" {delivery * 1e6:6.1f} us a delivery, {connect * 1e6:6.0f} us a connect"
        )


async def _open(system: System, uids: range) -> tuple[Tally, list[asyncio.Transport]]:
    signer = Signer(Path(system.env["TOKEN_SIGNING_KEY"]), "stickyfeed", "stickyfeed", 3600)
    tally, loop, transports = Tally(), asyncio.get_running_loop(), []
    for uid in uids:
        token, _ = signer.sign(uid, str(uuid4()))
        transport, _ = await loop.create_connection(
            lambda token=token: Reader("/v1/stream", "localhost", token, tally),  # type: ignore[misc]
            "127.0.0.1",
            system.site.front,
        )
        transports.append(transport)
    until = time.monotonic() + _LIVE_WITHIN
    while tally.live < len(uids):
        if time.monotonic() > until or tally.lost_connections:
            raise SystemExit(f"{tally.live} of {len(uids)} streams are live, {tally.lost_connections} were cut")
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    return tally, transports


async def _post(publisher: Publisher, authors: range, plan: Plan) -> None:
    began = time.monotonic()
    for number in range(int(plan.rate * plan.seconds)):
        await publisher.publish([_record(random.choice(authors), EventType.POST, id=number, text="x" * 100)])
        await asyncio.sleep(max(0.0, began + (number + 1) / plan.rate - time.monotonic()))


def _record(actor: int, type: EventType, **object: object) -> Record:
    event = new_event(type, Person(actor, f"u{actor}"), object)
    return record_of(event.id, type, actor, encode(event))


def _cpu(system: System, name: str) -> float:
    """Seconds of processor time of the process; of HAProxy's worker, which is its master's child."""
    pid = system.processes[name].pid
    assert pid is not None
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if name == "haproxy" else [str(pid)]
    fields = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / _TICK
