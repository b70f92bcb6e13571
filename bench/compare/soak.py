"""`python -m bench soak`: many streams under load for minutes; what is lost, and whether memory stays where it was."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.compare.catalogue import PEERS
from bench.compare.results import Row, keep, machine, rows
from bench.compare.run import prepared
from bench.compare.scenario import Position, Scenario

FILE = Path(".local/bench/soak.jsonl")
_TOLD_EVERY = 30.0
_RING_SECONDS = 60  # so that the ring is full after a minute, and what still grows is no ring


@dataclass(frozen=True, slots=True)
class Plan:
    """Behind HAProxy; 200 authors, of whom each stream follows 20."""

    server: str
    streams: int
    minutes: float
    results: Path


async def soak(plan: Plan) -> None:
    """Tells every 30 s what the last 30 s have brought, and what is held; at the end, how memory went. Begins the file anew."""
    kind = PEERS[plan.server]
    os.environ["RING_SECONDS"] = str(_RING_SECONDS)
    scenario = Scenario("soak", plan.streams, 200, 20, seconds=_TOLD_EVERY)
    print(f"{machine()}\n{kind.name} behind HAProxy: {plan.streams} streams, {plan.minutes:g} min at 20 events/s")
    plan.results.unlink(missing_ok=True)
    async with prepared(kind, scenario, plan.results.parent / "soak", lambda _: None, Position.BARE) as run:
        await run.connect()
        for number in range(max(1, round(plan.minutes * 60 / _TOLD_EVERY))):
            row = await run.phase("soak", run.steady)
            server, edge = run.memory()
            more = {"second": (number + 1) * _TOLD_EVERY, "server_held": server, "edge_held": edge}
            keep(plan.results, {"peer": kind.name, "streams": plan.streams, "machine": machine(), **row, **more})
            print(_line({**row, **more}), flush=True)
    print("\n".join(told(plan.results)))


def told(file: Path) -> Iterator[str]:
    """In a few lines, if it was run."""
    measured = list(rows(file))
    if not measured:
        return
    wrong = ", ".join(f"{sum(int(row[what]) for row in measured):,} {what}" for what in ("lost", "doubled", "closed"))
    # The first minute fills the ring.
    held = [row["server_held"] / 2**20 for row in measured[2:] or measured]
    yield (
        f"{measured[0]['peer']}: {measured[0]['streams']:,} streams for {measured[-1]['second'] / 60:g} min, "
        f"{sum(int(row['deliveries']) for row in measured):,} deliveries: {wrong}. The node held {held[0]:.1f} MB after the "
        f"first minute and {held[-1]:.1f} MB at the end (least {min(held):.1f}, most {max(held):.1f})."
    )


def _line(row: Row) -> str:
    held = f"{row['server_held'] / 2**20:.1f} + {row['edge_held'] / 2**20:.1f} MB"
    wrong = f"{row['lost']} lost, {row['doubled']} doubled, {row['closed']} closed"
    delay = f"ms p50 {row['p50'] / 1e3:.1f} p99 {row['p99'] / 1e3:.1f}"
    return f"{row['second']:6.0f} s  {row['deliveries']} deliveries, {wrong}; {delay}; node + HAProxy hold {held}"
