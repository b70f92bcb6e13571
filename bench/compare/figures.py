"""Medians and spread over the rounds, by scenario, position, server and phase."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from bench.compare.results import Row

Of = Callable[[Row], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """The middle one, and the least and the greatest."""

    middle: float
    least: float
    greatest: float

    def text(self, digits: int = 1, scale: float = 1) -> str:
        """`12.3 (11.9-14.0)`, or only the middle one where they don't differ."""
        middle, least, greatest = (f"{value * scale:,.{digits}f}" for value in (self.middle, self.least, self.greatest))
        return middle if least == greatest else f"{middle} ({least}-{greatest})"


@dataclass(slots=True)
class Figures:
    """All rounds of all runs."""

    _rows: defaultdict[tuple[str, str, str, str], list[Row]] = field(default_factory=lambda: defaultdict(list))
    _names: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Figures":
        made = cls()
        for row in rows:
            where = (row["scenario"], row["position"])
            made._names.setdefault(where, {})[row["peer"]] = None
            made._rows[(*where, row["peer"], row["phase"])].append(row)
        return made

    def places(self) -> Iterator[tuple[str, str]]:
        """Scenarios and positions that were measured."""
        yield from self._names

    def servers(self, scenario: str, position: str) -> list[str]:
        """In the order in which they were measured."""
        return list(self._names.get((scenario, position), ()))

    def rows(self, scenario: str, position: str, server: str, phase: str) -> list[Row]:
        return self._rows.get((scenario, position, server, phase), [])

    def figure(self, scenario: str, position: str, server: str, phase: str, of: Of) -> Figure | None:
        """None if it was not measured."""
        values = [of(row) for row in self.rows(scenario, position, server, phase)]
        return Figure(median(values), min(values), max(values)) if values else None

    def total(self, scenario: str, position: str, server: str, name: str) -> int:
        """The sum over all phases that count deliveries, of all rounds."""
        return sum(
            int(row[name])
            for (where, at, who, phase), rows in self._rows.items()
            for row in rows
            if (where, at, who) == (scenario, position, server) and phase in ("steady", "bursts", "stall", "storm")
        )

    def rounds(self) -> int:
        """The most rounds that a server has had of one scenario."""
        return max((len(rows) for (*_, phase), rows in self._rows.items() if phase == "connect"), default=0)


def both(name: str = "us") -> Of:
    """What server and HAProxy have used together."""
    return lambda row: float(row[f"server_{name}"] + row[f"edge_{name}"])


def one(name: str) -> Of:
    return lambda row: float(row[name])
