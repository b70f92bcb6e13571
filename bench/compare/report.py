"""`python -m bench tables`: prints what was measured; with --write, puts it into docs/performance.md and README.md."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.compare import plots, soak
from bench.compare.figures import Figures
from bench.compare.results import Row, rows
from bench.compare.summary import summary
from bench.compare.tables import tables
from bench.compare.targets import told

PAGE, FIRST_PAGE = Path("docs/performance.md"), Path("README.md")
_BEGIN, _END = "<!-- measured: begin, written by `python -m bench tables --write` -->", "<!-- measured: end -->"


def report(results: Path, page: Path | None) -> None:
    """Prints the tables; with `page`, replaces what stands there between the two marks, and draws the plots beside it."""
    measured = list(rows(results))
    if not measured:
        raise SystemExit(f"nothing was measured yet: no {results}; `python -m bench compare` measures")
    figures = Figures.of(measured)
    lines = [
        *_about(measured, figures),
        "",
        "### Targets",
        "",
        *told(figures),
        *tables(figures),
        "",
        *_soaked(results),
        "",
    ]
    if page is None:
        print("\n".join(lines))
        return
    pictures = [line for picture in plots.write(figures, page.parent) for line in (picture, "")]
    _replace(page, [*lines[:2], *pictures, *lines[2:]])
    _replace(FIRST_PAGE, list(summary(figures)))
    print(f"{page}, its pictures and {FIRST_PAGE} are written from {results}")


def _replace(page: Path, lines: Sequence[str]) -> None:
    before, begin, rest = page.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise SystemExit(f"{page} has no place for the figures: two lines, {_BEGIN} and {_END}")
    page.write_text("\n".join([f"{before}{_BEGIN}", *lines, f"{_END}{after}"]))


def _soaked(results: Path) -> Iterator[str]:
    lines = list(soak.told(results.parent / soak.FILE.name))
    if lines:
        yield from ("### Soak", "", *lines)


def _about(measured: list[Row], figures: Figures) -> Iterator[str]:
    days = sorted({str(row["at"])[:16].replace("T", " ") for row in measured})
    machines = ", ".join(sorted({str(row["machine"]) for row in measured}))
    versions = sorted({str(row["versions"]) for row in measured if row.get("versions")})
    yield (
        f"Measured from {days[0]} to {days[-1]} UTC, rounds: {figures.rounds()}, interleaved, on {machines}. "
        f"{'; '.join(versions)}. Medians, with the least and the greatest in brackets."
    )
