"""At most one supervisor for each directory, known by a lock on its pid file."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO


class AlreadyRunning(Exception):
    """Another supervisor holds this directory."""


def pid_file(directory: Path) -> Path:
    return directory / "supervisor.pid"


def holder(directory: Path) -> int | None:
    """The pid of the supervisor of this directory, if one lives. The lock tells, not the number: numbers are used again."""
    with suppress(FileNotFoundError), pid_file(directory).open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read().strip()
            return int(text) if text.isdigit() else None
    return None


def hold(directory: Path) -> IO[str]:
    """Writes this process's pid and holds the lock until the file is closed. Raises AlreadyRunning."""
    path = pid_file(directory)
    file = path.open("a+")
    for attempt in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt == 9:
                raise AlreadyRunning(f"{path} is held by another supervisor") from None
            time.sleep(0.05)  # `holder` holds it too, for a moment
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
