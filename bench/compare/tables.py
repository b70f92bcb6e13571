"""The figures as tables in Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.compare.figures import Figures, one
from bench.compare.scenario import SCENARIOS, Position

_NOTHING = "-"


def tables(figures: Figures) -> Iterator[str]:
    """Lines: a table for each scenario and position, then what was not there."""
    for name, position in figures.places():
        scenario = SCENARIOS[name]
        what = {"stall": "One reader stalls: ", "storm": "Storm: "}.get(scenario.phases[-1], "")
        yield from ("", f"### {what}{scenario.streams:,} streams, {scenario.graph}, {position}", "")
        lines = [_Line(figures, name, position, server) for server in figures.servers(name, position)]
        make = {"stall": _stall, "storm": _storm}.get(scenario.phases[-1], _deliveries)
        yield from make([line for line in lines if line.is_measured])
    yield from _absent(figures)


@dataclass(frozen=True, slots=True)
class _Line:
    """The cells of one server in one table."""

    figures: Figures
    scenario: str
    position: str
    server: str

    @property
    def is_measured(self) -> bool:
        return bool(self.figures.rows(self.scenario, self.position, self.server, "connect"))

    def cell(self, phase: str, what: str, digits: int, scale: float = 1) -> str:
        figure = self.figures.figure(self.scenario, self.position, self.server, phase, one(what))
        return figure.text(digits, scale) if figure else _NOTHING

    def costs(self, phase: str, unit: str, digits: int, scale: float = 1) -> str:
        """Of the server, and of HAProxy where there is one."""
        whose = ("server", "edge") if self.position != Position.ALONE else ("server",)
        return " + ".join(self.cell(phase, f"{who}_{unit}", digits, scale) for who in whose)

    def delays(self, *quantiles: str) -> list[str]:
        """At the steady rate, in ms."""
        return [self.cell("steady", quantile, 1, 1e-3) for quantile in quantiles]

    def wrong(self) -> list[str]:
        """Of all rounds together."""
        return [
            f"{self.figures.total(self.scenario, self.position, self.server, what):,}" for what in ("lost", "doubled")
        ]


def _deliveries(lines: Sequence[_Line]) -> Iterator[str]:
    heads = ["", "CPU us per delivery, 20/s", "in bursts", "deliveries/s in bursts", "ms p50, 20/s", "p99", "p99.9"]
    yield from _heads([*heads, "KB per idle stream", "CPU us per connect", "lost", "doubled"])
    for line in lines:
        cells = [line.costs(phase, "us", 2) for phase in ("steady", "bursts")]
        cells += [line.cell("bursts", "per_second", 0), *line.delays("p50", "p99", "p999")]
        cells += [line.costs("connect", "bytes", 1, 1 / 1024), line.costs("connect", "us", 0)]
        yield _row([line.server, *cells, *line.wrong()])


def _stall(lines: Sequence[_Line]) -> Iterator[str]:
    heads = ["", "ms p50, nobody stalls", "p99", "deliveries/s while one stalls", "lost in all", "doubled"]
    yield from _heads(heads)
    for line in lines:
        cells = [*line.delays("p50", "p99"), line.cell("stalled", "per_second", 0)]
        yield _row([line.server, *cells, *line.wrong()])


def _storm(lines: Sequence[_Line]) -> Iterator[str]:
    yield from _heads(["", "s until all are live again", "resumed", "CPU s of server + HAProxy", "lost", "doubled"])
    for line in lines:
        again = "storm live again"
        cells = [line.cell(again, "seconds", 2), line.cell(again, "resumed", 0), line.cell("storm", "cpu", 1)]
        yield _row([line.server, *cells, *line.wrong()])


def _absent(figures: Figures) -> Iterator[str]:
    said = {
        f"- {server}, {name}: {row['phase']}: {str(row['why']).splitlines()[0][:160]}"
        for name, position in figures.places()
        for server in figures.servers(name, position)
        for phase in ("missing", "failed")
        for row in figures.rows(name, position, server, phase)
    }
    if said:
        yield from ("", "Not there, or not to be measured:", "", *sorted(said))


def _heads(names: Sequence[str]) -> list[str]:
    return [_row(names), _row(["---", *["---:"] * (len(names) - 1)])]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
