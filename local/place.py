"""Where everything lives: one directory for a system's data, one for the software that all systems share."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

# All stream nodes that there can be: each number is a place in the edge's hash for ever.
STREAM_PLACES = tuple(f"stream-{n}" for n in range(1, 9))

# Those of a new system, in the order in which `status` shows them.
NAMES = (
    *("kafka-1", "mongo", "mysql-primary", "mysql-replica", "redis", "haproxy"),
    *("api-1", "api-2", "stream-1", "stream-2", "storekeeper-1"),
)

# A Unix socket's path has room for 107 bytes; the longest name below is 18 with its slash.
_MAX_SOCKET_DIRECTORY = 107 - 18


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of one system. Two systems in two places never meet."""

    directory: Path
    software: Path

    @classmethod
    def at(cls, directory: Path | str | None = None) -> "Place":
        """`directory`, else LOCAL_DIR, else `.local` in the project; software from LOCAL_SOFTWARE, else `.local/software`."""
        chosen = Path(directory or os.environ.get("LOCAL_DIR") or PROJECT / ".local")
        software = Path(os.environ.get("LOCAL_SOFTWARE") or PROJECT / ".local" / "software")
        return cls(chosen.absolute(), software.absolute())

    def prepare(self) -> None:
        """Makes the directories; those that hold secrets or sockets are for the owner alone."""
        for path in (self.data, self.logs, self.keys / "public", self.software):
            path.mkdir(parents=True, exist_ok=True)
        for path in (self.secrets, self.keys / "private", self.sockets):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def secrets(self) -> Path:
        return self.directory / "secrets"

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    @property
    def certificate(self) -> Path:
        """The edge's, with its key."""
        return self.secrets / "edge.pem"

    @property
    def sockets(self) -> Path:
        """In the directory, or in the machine's temporary one where the path would be too long for a socket."""
        inside = self.directory / "sockets"
        if len(os.fsencode(inside)) <= _MAX_SOCKET_DIRECTORY:
            return inside
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"stickyfeed-{os.getuid()}-{name}"

    @property
    def control(self) -> Path:
        """Where the supervisor listens for commands."""
        return self.sockets / "control.sock"

    @property
    def environment(self) -> Path:
        return self.directory / "env"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
