"""Reads where a host takes its Debian packages from, in both of apt's formats (sources.list(5))."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """One archive with one suite. `options` are apt's, in one-line spelling: `signed-by=...`."""

    uri: str
    suite: str
    components: tuple[str, ...]
    options: tuple[str, ...] = ()

    def line(self, suite: str) -> str:
        """A line of sources.list for the same archive with another suite."""
        options = f"[{' '.join(self.options)}] " if self.options else ""
        return f"deb {options}{self.uri} {suite} main"


def debian_sources(files: Iterable[Path], codename: str) -> list[Source]:
    """The host's sources of that release's own suite with component main: not updates, not security, not third parties'."""
    found = [source for file in files if file.is_file() for source in parse(file.read_text(), file.suffix)]
    return [
        source
        for source in found
        if source.suite in (codename, "stable", "sid", "testing") and "main" in source.components
    ]


def parse(text: str, suffix: str) -> list[Source]:
    """Every enabled binary source in the text of a `.sources` (deb822) or `.list` file."""
    return list(_deb822(text) if suffix == ".sources" else _one_line(text))


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if found:
            options, uri, suite, components = found.groups()
            yield Source(uri, suite, tuple(components.split()), _kept((options or "").split()))


def _deb822(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):  # goes on with the field above
                fields[key] = f"{fields.get(key, '')}\n{line.strip()}"
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        signed = fields.get("signed-by", "")
        # A key written into the stanza itself has no one-line spelling; apt's own keyrings are then tried.
        options = _kept([f"signed-by={signed}"] if signed.startswith("/") else [])
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, tuple(fields.get("components", "").split()), options)


def _kept(options: Iterable[str]) -> tuple[str, ...]:
    return tuple(option for option in options if option.startswith(("signed-by=", "trusted=")))
