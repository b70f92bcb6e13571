"""What we want to reach, beside what was measured. Nothing fails for it: a machine may be slow, and a figure is a figure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.compare.figures import Figures, both, one
from bench.compare.life import LifeWire
from bench.compare.nchan import Nchan
from bench.compare.ours import FedWire
from bench.compare.scenario import SCENARIOS, Position

OURS = FedWire.name


@dataclass(frozen=True, slots=True)
class Target:
    """`measured` is None if it was not. It is met at `wanted` and below; with `at_least`, at it and above."""

    what: str
    wanted: float
    measured: float | None
    unit: str
    at_least: bool = False

    @property
    def is_met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted


def targets(figures: Figures, ours: str = OURS) -> Iterator[Target]:
    """All of them, for our node behind HAProxy."""

    def get(scenario: str, phase: str, of: Callable[..., float], server: str = ours) -> float | None:
        figure = figures.figure(scenario, Position.BARE, server, phase, of)
        return figure.middle if figure else None

    for name, scenario in SCENARIOS.items():
        if "bursts" not in scenario.phases:
            continue
        for phase, said in (("steady", "20/s"), ("bursts", "bursts")):
            wanted = 1.0 if scenario.authors == 1 else 2.0
            yield Target(f"node CPU per delivery, {name}, {said}", wanted, get(name, phase, one("server_us")), "us")
            with_edge, theirs = get(name, phase, both()), get(name, phase, both(), Nchan.name)
            if theirs is not None:
                yield Target(f"node + HAProxy, half of Nchan + HAProxy, {name}, {said}", theirs / 2, with_edge, "us")
    speed = get("broadcast-2000", "bursts", one("per_second"))
    yield Target("deliveries per second in bursts, broadcast-2000", 800_000, speed, "/s", at_least=True)
    yield Target(
        "node CPU per connect, 20 followees known to it", 150, get("social20-2000", "connect", one("server_us")), "us"
    )
    cold = get("social200-2000", "connect", one("server_us"), LifeWire.name)
    yield Target("node CPU per connect, 200 followees from Redis", 300, cold, "us")
    idle = get("social200-2000", "connect", one("server_bytes"))
    yield Target("node memory per idle stream with 200 followees", 3072, idle, "bytes")
    others = [
        server for server in figures.servers("broadcast-2000", Position.BARE) if not server.startswith("stickyfeed")
    ]
    for p in ("p50", "p99"):
        best = [value for other in others if (value := get("broadcast-2000", "steady", one(p), other)) is not None]
        if best:
            mine = get("broadcast-2000", "steady", one(p))
            yield Target(
                f"{p} at 20/s to 2,000 streams, the best of the others", min(best) / 1e3, mine and mine / 1e3, "ms"
            )
    yield Target("storm of 9,000: all live again", 5, get("storm-9000", "storm live again", one("seconds")), "s")
    yield Target("storm of 9,000: lost", 0, get("storm-9000", "storm", one("lost")), "events")


def told(figures: Figures) -> Iterator[str]:
    """As a table."""
    yield from ("| target | wanted | measured | met |", "|---|---:|---:|---|")
    for target in targets(figures):
        wanted = f"{'at least' if target.at_least else 'at most'} {_number(target.wanted)} {target.unit}"
        measured = "not measured" if target.measured is None else f"{_number(target.measured)} {target.unit}"
        met = {True: "yes", False: "**no**", None: ""}[target.is_met]
        yield f"| {target.what} | {wanted} | {measured} | {met} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"
