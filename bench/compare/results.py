"""What was measured, one line of JSON for each phase of each run, in a file that is only added to."""

import json
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FILE = Path(".local/bench/results.jsonl")

Row = dict[str, Any]


def keep(file: Path, row: Mapping[str, Any]) -> None:
    """Adds a row, with when and on what it was measured."""
    file.parent.mkdir(parents=True, exist_ok=True)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with file.open("a") as out:
        out.write(json.dumps({"at": at, **row}) + "\n")


def rows(file: Path) -> Iterator[Row]:
    """All that was kept."""
    if file.exists():
        for line in file.read_text().splitlines():
            yield json.loads(line)


def machine() -> str:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    cores = sum(line.startswith("processor") for line in lines)
    return f"{cores} cores of {model}, Linux {platform.release()}, Python {platform.python_version()}"
