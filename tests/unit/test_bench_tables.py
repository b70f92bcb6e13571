"""The bench's tables and pictures, from rows as a run leaves them."""

from xml.etree import ElementTree

import pytest

from bench.compare import plots
from bench.compare.figures import Figures
from bench.compare.nchan import Nchan
from bench.compare.ours import FedWire
from bench.compare.results import Row
from bench.compare.scenario import Position
from bench.compare.tables import tables
from bench.compare.targets import targets

COUNTED = {"p50": 1000.0, "p99": 2000.0, "p999": 3000.0, "per_second": 5000.0, "lost": 1, "doubled": 0}


def rows(server: str, server_us: float) -> list[Row]:
    """Three rounds."""
    where = {"peer": server, "scenario": "broadcast-2000", "position": Position.BARE}
    made: list[Row] = []
    for extra in (0.0, 0.25, -0.25):
        costs = {"server_us": server_us + extra, "edge_us": 2.0}
        made.append({**where, "phase": "connect", **costs, "server_bytes": 1024.0, "edge_bytes": 2048.0})
        made += [{**where, "phase": phase, **costs, **COUNTED} for phase in ("steady", "bursts")]
    return made


def test_a_table_has_medians_with_their_spread_and_every_loss() -> None:
    figures = Figures.of([*rows(FedWire.name, 0.5), *rows(Nchan.name, 8.0)])

    lines = [line for line in tables(figures) if line.startswith(f"| {FedWire.name}")]

    assert len(lines) == 1
    assert "0.50 (0.25-0.75) + 2.00" in lines[0]
    assert "1.0 + 2.0" in lines[0]
    assert lines[0].endswith("| 6 | 0 |")


def test_targets_are_told_with_what_was_measured_or_that_nothing_was() -> None:
    told = {target.what: target for target in targets(Figures.of([*rows(FedWire.name, 1.5), *rows(Nchan.name, 8.0)]))}

    assert told["node CPU per delivery, broadcast-2000, 20/s"].is_met is False
    half = told["node + HAProxy, half of Nchan + HAProxy, broadcast-2000, 20/s"]
    assert (half.wanted, half.measured, half.is_met) == (5.0, 3.5, True)
    assert told["storm of 9,000: all live again"].is_met is None


def test_a_picture_is_an_svg_with_a_bar_for_each_part() -> None:
    bars = [plots.Bar("a & b", (1.0, 2.0), "1 + 2"), plots.Bar("c", (3.0,), "3")]

    picture = ElementTree.fromstring(plots.draw("Cost", "us", ("server", "HAProxy"), [("2,000 streams", bars)]))  # noqa: S314

    widths = [float(shape.attrib["width"]) for shape in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[1:4] == pytest.approx([widths[3] / 3, widths[3] * 2 / 3, widths[3]], abs=0.1)
