"""What processes have used: CPU to the nanosecond, and memory; of a process and all below it."""

import time
from collections.abc import Iterable
from pathlib import Path


def tree(pids: Iterable[int]) -> list[int]:
    """The processes and all their descendants."""
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            waiting += map(int, task.read_text().split())
    return found


def cpu(pids: Iterable[int]) -> float:
    """Seconds of processor, user and system, that the processes and their descendants have used.

    By their CPU clocks (clock_getcpuclockid(3)): /proc/<pid>/stat counts in hundredths of a second only.
    """
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in tree(pids))


def resident(pids: Iterable[int]) -> int:
    """Bytes of memory that they hold themselves; what the kernel keeps for their sockets is not in it."""
    return sum(_private(pid) for pid in tree(pids))


def _private(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
