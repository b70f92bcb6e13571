"""One system before it runs: its place, ports and secrets, and where its parts are found."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from local.certificate import certificate
from local.keys import Secrets, signing_key, write_private
from local.place import PROJECT, STREAM_PLACES, Place
from local.ports import Ports, is_free

API_NODES = ("api-1", "api-2")
# Those of a new system.
STREAM_NODES = ("stream-1", "stream-2")


@dataclass(frozen=True, slots=True)
class Site:
    """What the parts of a system must know of one another. `front`, `stats` and `tls` are the ports a person meets."""

    place: Place
    ports: Ports
    secrets: Secrets
    front: int
    stats: int
    tls: int
    project: Path = PROJECT

    @classmethod
    def at(cls, place: Place, front: int | None = None, stats: int | None = None, tls: int | None = None) -> "Site":
        """The system of that place, made now if it is new. Ports that are not given are private too."""
        place.prepare()
        signing_key(place.keys)
        certificate(place.certificate)
        ports = Ports(place.directory / "ports.json")
        return cls(
            place,
            ports,
            Secrets(place.secrets),
            front if front is not None else ports["front"],
            stats if stats is not None else ports["stats"],
            tls if tls is not None else ports["tls"],
        )

    def data(self, name: str) -> Path:
        """The data directory of one process, made now if missing."""
        path = self.place.data / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def at_port(self, name: str) -> str:
        """`127.0.0.1:port` of what listens under that name."""
        return f"127.0.0.1:{self.ports[name]}"

    @property
    def stream_nodes(self) -> tuple[str, ...]:
        """The stream nodes there are, also after a restart."""
        kept = self._kept()
        return tuple(name for name in STREAM_PLACES if name in kept)

    @property
    def drained(self) -> tuple[str, ...]:
        """Those of them that get no new users, also after a restart."""
        kept = self._kept()
        return tuple(name for name in self.stream_nodes if kept[name])

    def keep_stream_nodes(self, names: Iterable[str], drained: Iterable[str]) -> None:
        """From now on there are these, and `drained` of them get no new users."""
        empty = set(drained)
        write_private(self._nodes_file, json.dumps({name: name in empty for name in sorted(names)}))

    def _kept(self) -> dict[str, bool]:
        """By name, whether it is drained."""
        try:
            kept = json.loads(self._nodes_file.read_text())
        except FileNotFoundError:
            kept = STREAM_NODES
        # A list is what was written before drains were kept.
        return dict(kept) if isinstance(kept, dict) else dict.fromkeys(kept, False)

    @property
    def _nodes_file(self) -> Path:
        return self.place.directory / "nodes.json"

    @property
    def address(self) -> str:
        """Where a person's browser goes."""
        return f"http://localhost:{self.front}"

    @property
    def tls_address(self) -> str:
        """The same over TLS, and with h2."""
        return f"https://localhost:{self.tls}"

    def binds(self, port: int) -> str:
        """`localhost` may mean either of the two loopback addresses, so the front doors listen on those there are."""
        hosts = ["127.0.0.1:{}"] + (["[::1]:{}"] if is_free(0, "::1") else [])
        return ",".join(host.format(port) for host in hosts)


def renew_ports(site: Site, names: Iterable[str]) -> list[str]:
    """Chooses other ports for those named whose port somebody else has taken meanwhile; call it before anything runs."""
    return site.ports.renew_taken(names)
