"""Which versions were measured."""

import gzip
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bench.compare import install
from bench.compare.edge import haproxy
from bench.compare.peer import Missing
from local.install_debian import version_of
from local.place import PROJECT, Place


@cache
def versions() -> str:
    """Of HAProxy, of this project, and of those servers that are there, in one line."""
    return ", ".join(_found())


def _found() -> Iterator[str]:
    yield f"HAProxy {_dotted(haproxy(), '-v')}"
    commit = subprocess.run(
        ("git", "rev-parse", "--short", "HEAD"), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    yield f"stickyfeed {commit.stdout.strip() or 'outside git'}"
    software = Place.at().software
    for name, directory, package in (
        ("nginx", "peer-nchan", "nginx"),
        ("Nchan", "peer-nchan", "libnginx-mod-nchan"),
        ("Pushpin", "peer-pushpin", "pushpin"),
    ):
        log = software / directory / "usr/share/doc" / package / "changelog.Debian.gz"
        if log.exists():
            first = gzip.decompress(log.read_bytes()).decode(errors="replace").splitlines()[0]
            yield f"{name} {first.partition('(')[2].partition(')')[0]}"
    if (software / "sse-starlette").exists():
        yield " on ".join(part.replace("==", " ") for part in (install.STARLETTE[0], install.STARLETTE[2]))
    for get in (install.centrifugo, install.mercure):
        try:
            program = get()
        except Missing:
            continue
        yield f"{program.name} {_dotted(program, 'version')}"


def _dotted(program: Path, argument: str) -> str:
    return ".".join(map(str, version_of(program, argument)))
