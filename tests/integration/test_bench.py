"""The comparison with other servers, small, over our own doors: it must go on working, and everything must arrive."""

from pathlib import Path

import pytest

from bench.compare.catalogue import PEERS
from bench.compare.results import Row
from bench.compare.run import run
from bench.compare.scenario import Position, Scenario
from tests.integration.wire_edge import haproxy

SMALL = Scenario("small", 60, 10, 4, seconds=1, burst=50, phases=("steady", "bursts", "stall", "storm"))


@pytest.mark.parametrize("server", ["wire", "plain", "wire-kafka"])
async def test_every_delivery_of_every_phase_arrives_once(server: str, tmp_path: Path) -> None:
    if PEERS[server].h2 and haproxy() is None:
        pytest.skip("HAProxy is older than 3.1: it does not multiplex to the wire")
    rows: list[Row] = []

    await run(PEERS[server], SMALL, tmp_path / "run", rows.append, Position.BARE)

    phases = {row["phase"]: row for row in rows}
    assert [*phases] == ["connect", "steady", "bursts", "stalled", "stall", "storm", "storm live again"]
    for name in ("steady", "bursts", "stall", "storm"):
        row = phases[name]
        assert (row["deliveries"], row["lost"], row["doubled"]) == (row["expected"], 0, 0), name
        assert row["expected"] > 0, name
    assert phases["storm live again"]["resumed"] == SMALL.streams
