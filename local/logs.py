"""The files that processes log to, kept from growing without end."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

MAX_BYTES = 64 * 1024 * 1024


def trim_all(logs: Path, say: Callable[[str, str], None], longest: int = MAX_BYTES) -> None:
    """Each log longer than `longest` bytes becomes `NAME.log.1`, and its process goes on writing at the start of an empty one.

    What cannot be kept is told to `say`, with the log's name, and holds up no other. Raises OSError where nothing can be listed.
    """
    for log in sorted(logs.glob("*.log")):
        try:
            if log.stat().st_size > longest:
                trim(log)
        except OSError as error:
            say(log.stem, f"its log was emptied, and what it held could not be kept: {error}")


def trim(log: Path) -> None:
    """Moves what the log holds to `NAME.log.1`, while its process goes on writing.

    Raises OSError where that cannot be copied. The log is emptied all the same: a disk that is full takes no copy, and would
    stay full.
    """
    old = log.with_suffix(".log.1")
    # Processes append to a descriptor they hold, so the file is copied and emptied, not renamed.
    try:
        shutil.copyfile(log, old)
    except OSError:
        old.unlink(missing_ok=True)  # half a copy takes room too
        raise
    finally:
        os.truncate(log, 0)
