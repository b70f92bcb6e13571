"""Private ports: chosen once, remembered, and chosen again only if somebody else has taken them."""

import json
import os
import random
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# Below the range from which the kernel takes ports for outgoing connections, so that none of those ever sits on ours.
_RANGE = range(20_000, 32_000)
_TRIES = 200


class NoPort(Exception):
    """A port cannot be had; the text says which, who has it, and what to change."""


class Ports:
    """The ports of one system by the name of what listens there, kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._by_name: dict[str, int] = {}
        with suppress(FileNotFoundError, ValueError):
            self._by_name = {str(name): int(port) for name, port in json.loads(file.read_text()).items()}

    def __getitem__(self, name: str) -> int:
        """The port of `name`, chosen now if it has none yet."""
        if name not in self._by_name:
            self._choose(name)
        return self._by_name[name]

    def renew_taken(self, names: Iterable[str]) -> list[str]:
        """Chooses anew for those whose port is taken, and names them. Call it only while they don't run."""
        taken = [name for name in names if name in self._by_name and not is_free(self._by_name[name])]
        for name in taken:
            self._choose(name)
        return taken

    def _choose(self, name: str) -> None:
        self._by_name[name] = free_port(avoid=set(self._by_name.values()))
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(self._by_name, indent=1))
        temporary.replace(self._file)


def free_port(avoid: set[int] | None = None) -> int:
    """A port of 127.0.0.1 on which nobody listens. It is not reserved: listen soon."""
    for _ in range(_TRIES):
        port = random.choice(_RANGE)  # noqa: S311  (nothing depends on nobody guessing it)
        if port not in (avoid or ()) and is_free(port):
            return port
    raise NoPort(f"no free port among {_TRIES} tried in {_RANGE.start}-{_RANGE.stop}: what listens on so many?")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether one could listen there. Connections that are still closing are no hindrance."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def chosen_front(variable: str, usual: int) -> int | None:
    """The port that the environment names, else the usual one; None for 0, a private one. Raises NoPort for anything else."""
    text = os.environ.get(variable) or str(usual)
    if not text.isdigit() or int(text) > 65_535:
        raise NoPort(f"{variable}={text} is not a port: give a number up to 65535, or 0 for any that is free")
    return int(text) or None


def check_front(port: int, variable: str) -> None:
    """Raises NoPort if a person's chosen port is taken: it is never changed silently."""
    if is_free(port):
        return
    owner = listener_of(port)
    who = f"by {owner}" if owner else "by a process that this user may not see"
    raise NoPort(f"port {port} is taken {who}: end that, or choose another with {variable}=<port> in the environment")


def listener_of(port: int) -> str | None:
    """Name, pid and working directory of the process that listens on the port, if /proc lets us see it."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(descriptor) in sockets:  # noqa: PTH115  (Path.readlink reads no `socket:[1]`)
                        name = (process / "comm").read_text().strip()
                        return f"{name} (pid {process.name}, started in {os.readlink(process / 'cwd')})"  # noqa: PTH115
    return None


def _inodes(port: int) -> Iterable[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]
