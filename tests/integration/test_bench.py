"""The comparison with other servers, small, over our own doors: it must go on working, and everything must arrive."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import scale, tokens
from bench.compare.catalogue import PEERS
from bench.compare.results import Row
from bench.compare.run import run
from bench.compare.scenario import Position, Scenario
from local.system import System
from tests.integration.edge_system import binaries
from tests.integration.wire_edge import haproxy

SMALL = Scenario("small", 60, 10, 4, seconds=1, burst=50, phases=("steady", "bursts", "stall", "storm"))
NO_STORM = replace(SMALL, phases=("steady", "bursts"))  # its client keeps no cursor


@pytest.mark.parametrize(
    ("server", "scenario"), [("wire", SMALL), ("plain", SMALL), ("wire-kafka", SMALL), ("wire-ws", NO_STORM)]
)
async def test_every_delivery_of_every_phase_arrives_once(server: str, scenario: Scenario, tmp_path: Path) -> None:
    if PEERS[server].h2 and haproxy() is None:
        pytest.skip("HAProxy is older than 3.1: it does not multiplex to the wire")
    rows: list[Row] = []

    await run(PEERS[server], scenario, tmp_path / "run", rows.append, Position.BARE)

    measured = {row["phase"]: row for row in rows}
    assert {"connect", *scenario.phases} <= measured.keys()
    for name in scenario.phases:
        row = measured[name]
        assert (row["deliveries"], row["lost"], row["doubled"]) == (row["expected"], 0, 0), name
        assert row["expected"] > 0, name
    if "storm" in scenario.phases:
        assert measured["storm live again"]["resumed"] == scenario.streams


async def test_what_a_token_costs_is_printed_for_every_algorithm_cold_and_warm(
    capsys: pytest.CaptureFixture[str],
) -> None:
    await tokens.run(connections=20, threads=1)

    said = capsys.readouterr().out
    for kind in ("no token", "ES256 cold", "ES256 warm", "RS256 cold", "RS256 warm", "HS256 cold", "HS256 warm"):
        assert said.count(f"  {kind} ") == len(binaries()), kind


async def test_what_a_delivery_costs_is_printed_for_each_node_and_the_edge(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    await scale.grow(system, scale.Plan(readers=5, followed=20, rate=20, seconds=1), counts=(2,))

    said = capsys.readouterr().out
    assert "nodes: 2; " in said
    for name in ("stream-1", "stream-2", "haproxy"):
        assert f"\n  {name} " in said
