"""The few figures that stand in the README."""

from collections.abc import Iterator

from bench.compare.figures import Figures, both, one
from bench.compare.ours import FedWire
from bench.compare.scenario import Position

_SCENARIO = "broadcast-2000"
_COLUMNS = (
    ("CPU us per delivery, server + HAProxy, 20/s", "steady", both(), 1, 1.0),
    ("in bursts", "bursts", both(), 1, 1.0),
    ("deliveries/s in bursts", "bursts", one("per_second"), 0, 1.0),
    ("ms to the middle reader, 20/s", "steady", one("p50"), 0, 1e-3),
    ("KB of the server per idle stream", "connect", one("server_bytes"), 1, 1 / 1024),
)


def summary(figures: Figures) -> Iterator[str]:
    """A small table: our node by the wire and the servers of others, behind the same HAProxy."""
    measured = [name for name in figures.servers(_SCENARIO, Position.BARE) if _is_measured(figures, name)]
    yield "Beside other servers of its kind, all behind the same HAProxy, 2,000 streams, on two cores:"
    yield ""
    yield f"| | {' | '.join(head for head, *_ in _COLUMNS)} |"
    yield f"|---|{'---:|' * len(_COLUMNS)}"
    for server in [FedWire.name, *(name for name in measured if not name.startswith("stickyfeed"))]:
        cells = []
        for _, phase, of, digits, scale in _COLUMNS:
            figure = figures.figure(_SCENARIO, Position.BARE, server, phase, of)
            cells.append(f"{figure.middle * scale:,.{digits}f}" if figure else "-")
        yield f"| {server} | {' | '.join(cells)} |"
    yield ""
    yield "[docs/performance.md](docs/performance.md) has the rest, and where we lose."


def _is_measured(figures: Figures, name: str) -> bool:
    return bool(figures.rows(_SCENARIO, Position.BARE, name, "bursts"))
