"""`python -m bench compare`: which servers, which scenarios, how often; results go to a file."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from bench.compare.catalogue import PEERS
from bench.compare.peer import Missing, Peer
from bench.compare.results import Row, keep, machine
from bench.compare.run import run
from bench.compare.scenario import SCENARIOS, Position, Scenario
from bench.compare.versions import versions

_WITHIN = 280.0  # seconds for one run


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, how often, and where the results go."""

    peers: tuple[str, ...]
    scenarios: tuple[str, ...]
    positions: tuple[Position, ...]
    rounds: int
    results: Path


async def compare(plan: Plan) -> None:
    """Interleaved: each round has every scenario, each scenario every server in turn."""
    print(f"{machine()}; {versions()}")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it is asked before Kafka is up
    for round in range(plan.rounds):
        for name in plan.scenarios:
            for position in plan.positions:
                for peer in plan.peers:
                    kind = PEERS[peer]
                    if position in kind.positions:
                        await _one(plan, kind, SCENARIOS[name], round, position)


async def _one(plan: Plan, kind: type[Peer], scenario: Scenario, round: int, position: Position) -> None:
    what: Row = {
        "peer": kind.name,
        "scenario": scenario.name,
        "position": position,
        "round": round,
        "machine": machine(),
    }
    what |= {"versions": versions()}
    print(f"{scenario.name}, {kind.name}, {position}", flush=True)

    def say(row: Row) -> None:
        keep(plan.results, {**what, **row})
        print(f"  {_line(row)}", flush=True)

    try:
        async with asyncio.timeout(_WITHIN):
            await run(kind, scenario, plan.results.parent / "run", say, position)
    except Missing as error:
        say({"phase": "missing", "why": str(error)})
    except (RuntimeError, TimeoutError, OSError, EOFError) as error:
        say({"phase": "failed", "why": repr(error)[:500]})


def _line(row: Row) -> str:
    phase = row["phase"]
    if "why" in row:
        return f"{phase}: {row['why']}"
    if phase == "connect":
        return (
            f"{phase:16} {row['live']} live in {row['seconds']:.2f} s; us each: server {row['server_us']:.0f}, HAProxy "
            f"{row['edge_us']:.0f}; KB each: server {row['server_bytes'] / 1024:.1f}, HAProxy {row['edge_bytes'] / 1024:.1f}"
        )
    said = f"{phase:16} {row['deliveries']} deliveries, {row['lost']} lost, {row['doubled']} doubled"
    said += f"; ms p50 {row['p50'] / 1000:.2f} p99 {row['p99'] / 1000:.2f} p99.9 {row['p999'] / 1000:.2f}"
    if "server_us" in row:
        said += f"; us each: server {row['server_us']:.2f}, HAProxy {row['edge_us']:.2f}, client {row['client_us']:.2f}"
    if "per_second" in row:
        said += f"; {row['per_second']:,.0f}/s"
    if phase == "storm live again":
        said += f"; {row['live']} live again in {row['seconds']:.2f} s, {row['resumed']} resumed"
    return said
