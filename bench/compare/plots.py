"""Bars, as SVG written by hand: no library draws two columns of numbers more simply."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bench.compare.figures import Figure, Figures, one
from bench.compare.scenario import SCENARIOS, Position

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP, _TOP = 900, 230, 130, 16, 6, 56
_COLOURS = ("#2f6f4f", "#9bbfae")


@dataclass(frozen=True, slots=True)
class Bar:
    """Parts are drawn behind one another."""

    name: str
    parts: Sequence[float]
    spread: str


def draw(title: str, unit: str, legend: Sequence[str], groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """The picture. Each group has a heading of its own and one scale with the others."""
    longest = max((sum(bar.parts) for _, bars in groups for bar in bars), default=1) or 1
    room, at, shapes = _WIDTH - _LEFT - _RIGHT, _TOP, list[str]()
    for heading, bars in groups:
        shapes.append(_text(10, at + 14, heading, bold=True))
        at += 24
        for bar in bars:
            shapes.append(_text(_LEFT - 8, at + 12, bar.name, anchor="end"))
            x = float(_LEFT)
            for part, colour in zip(bar.parts, _COLOURS, strict=False):
                width = part / longest * room
                shapes.append(f'<rect x="{x:.1f}" y="{at}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
                x += width
            shapes.append(_text(x + 6, at + 12, bar.spread))
            at += _BAR + _GAP
        at += 10
    for number, name in enumerate(legend):
        shapes.append(f'<rect x="{_LEFT + number * 160}" y="34" width="12" height="12" fill="{_COLOURS[number]}"/>')
        shapes.append(_text(_LEFT + 18 + number * 160, 44, name))
    size = f'width="{_WIDTH}" height="{at}" viewBox="0 0 {_WIDTH} {at}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    ground = f'<rect width="{_WIDTH}" height="{at}" fill="#ffffff"/>'
    return "\n".join([head, ground, _text(10, 22, f"{title}, {unit}", bold=True), *shapes, "</svg>\n"])


def write(figures: Figures, directory: Path) -> list[str]:
    """Draws what there are figures for, behind HAProxy. Returns the files' names with what they show."""
    made = []
    for phase, said in (("steady", "at 20 events/s"), ("bursts", "in bursts")):
        groups = [
            (
                _heading(name),
                [bar for server in figures.servers(name, position) if (bar := _cost(figures, name, server, phase))],
            )
            for name, position in figures.places()
            if position == Position.BARE and "bursts" in SCENARIOS[name].phases
        ]
        title = f"CPU per delivery {said}"
        made.append(_save(directory / f"cpu-{phase}.svg", draw(title, "us", ("server", "HAProxy"), groups), title))
    groups = [
        (_heading(name), [bar for server in figures.servers(name, position) if (bar := _delay(figures, name, server))])
        for name, position in figures.places()
        if position == Position.BARE and SCENARIOS[name].streams == 2000
    ]
    title = "From publishing to the reader at 20 events/s, p50 and p99"
    made.append(_save(directory / "delay.svg", draw(title, "ms", ("p50", "to p99"), groups), title))
    return made


def _cost(figures: Figures, name: str, server: str, phase: str) -> Bar | None:
    parts = [figures.figure(name, Position.BARE, server, phase, one(what)) for what in ("server_us", "edge_us")]
    return _bar(server, parts, " + ".join(f"{part.middle:.2f}" for part in parts if part))


def _delay(figures: Figures, name: str, server: str) -> Bar | None:
    parts = [figures.figure(name, Position.BARE, server, "steady", one(what)) for what in ("p50", "p99")]
    if None in parts:
        return None
    low, high = (part.middle / 1e3 for part in parts if part)
    return Bar(server, (low, high - low), f"{low:.1f} / {high:.1f}")


def _bar(server: str, parts: Sequence[Figure | None], said: str) -> Bar | None:
    return None if None in parts else Bar(server, [part.middle for part in parts if part], said)


def _heading(name: str) -> str:
    return f"{SCENARIOS[name].streams:,} streams, {SCENARIOS[name].graph}"


def _save(file: Path, picture: str, title: str) -> str:
    file.write_text(picture)
    return f"![{title}]({file.name})"


def _text(x: float, y: float, said: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.0f}" y="{y}" text-anchor="{anchor}" fill="#222222"{weight}>{escape(said)}</text>'
