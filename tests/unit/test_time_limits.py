"""docs/time-limits.md is true: every bound of the server against every retry of the client, as both stand in their sources."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "time-limits.md"
LINE = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \| (server|client) at least (\d+) x \| .+ \|$")
UNITS = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}


def lines() -> list[tuple[str, ...]]:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|")][2:]
    found = [LINE.fullmatch(row) for row in rows]
    assert rows and all(found), [row for row, match in zip(rows, found, strict=True) if not match]
    return [match.groups() for match in found if match]


def in_python(folder: Path, name: str) -> float:
    """The value of a constant of a module, in seconds; its name is in the folder once."""
    values = []
    for file in [folder] if folder.is_file() else sorted(folder.glob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
                values.append(number(node.value))
    assert len(values) == 1, f"{name} stands {len(values)} times in {folder.name}"
    return values[0]


def number(node: ast.expr) -> float:
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name) and node.func.id == "timedelta" and not node.args
        return sum(UNITS[keyword.arg or ""] * number(keyword.value) for keyword in node.keywords)
    return float(eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}}))  # noqa: S307 - arithmetic of literals


def in_typescript(file: Path, name: str) -> float:
    """Seconds; a number that does not say that it is in ms counts something."""
    (found,) = re.findall(rf"^(?:export )?const {name} = ([0-9_ *]+);(.*)$", file.read_text(), re.MULTILINE)
    value = number(ast.parse(found[0].strip(), mode="eval").body)
    return value / 1000 if re.match(r" // ms\b", found[1]) else value


def in_edge(file: Path, name: str) -> float:
    text = file.read_text()
    if name == "retry":
        jitters = {
            (int(spread), int(least)) for spread, least in re.findall(r"retry: %\[rand\((\d+)\),add\((\d+)\)\]", text)
        }
        return max(spread - 1 + least for spread, least in jitters) / 1000
    (found,) = re.findall(rf"^    {name} (\d+)s$", text, re.MULTILINE)
    return float(found)


def read(expression: str, where: str) -> float:
    path, values = PROJECT / where, {}
    for name in set(re.findall(r"timeout client|retry|[A-Z_]{3,}", expression)):
        if where == ".env.example":
            values[name] = float(dict(re.findall(r"^([A-Z_]+)=(\d+)$", path.read_text(), re.MULTILINE))[name])
        elif path.suffix == ".ts":
            values[name] = in_typescript(path, name)
        elif path.suffix == ".cfg":
            values[name] = in_edge(path, name)
        else:
            values[name] = in_python(path, name)
    for name, value in values.items():
        expression = re.sub(rf"\b{name}\b", repr(value), expression)
    return number(ast.parse(expression, mode="eval").body)


@pytest.mark.parametrize("line", lines(), ids=lambda line: f"{line[0]} {line[2]}")
def test_of_two_times_that_meet_the_one_that_must_be_longer_is(line: tuple[str, ...]) -> None:
    server, in_server, client, in_client, longer, times = line
    of_server, of_client = read(server, in_server), read(client, in_client)
    long, short = (of_server, of_client) if longer == "server" else (of_client, of_server)

    assert long >= int(times) * short, f"server {of_server} s, client {of_client} s"


def test_the_numbers_are_read_as_they_are_meant() -> None:
    assert read("GOOD_AGAIN", "api") == 3600
    assert read("HEARTBEAT", ".env.example") == 15
    assert read("timeout client", "haproxy/haproxy.cfg") == 60
    assert 2 < read("retry", "haproxy/haproxy.cfg") < 10
    assert 1 < read("ANSWER_WITHIN", "frontend/src/rest.ts") < 100
    assert 1 <= read("TRIES", "frontend/src/outgoing.svelte.ts") < 100
