"""What `status` says of each process."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from local.process import Process


@dataclass(frozen=True, slots=True)
class Status:
    """One process as others see it; its fields are those of `status --json`."""

    name: str
    pid: int | None
    addresses: list[str]
    state: str
    log: str
    restarts: int = 0
    ready_after: float | None = None
    why: str = ""
    note: str = ""

    @classmethod
    def of(cls, process: Process) -> "Status":
        after = None if process.ready_after is None else round(process.ready_after, 2)
        return cls(
            process.name,
            process.pid,
            list(process.addresses),
            process.state.value,
            str(process.log),
            process.restarts,
            after,
            process.why,
            process.note,
        )

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def table(statuses: Iterable[Status]) -> str:
    """One line for each, with what it lacks if it is not ready."""
    return "\n".join(_line(status) for status in statuses)


def _line(status: Status) -> str:
    pid = status.pid if status.pid is not None else "-"
    restarts = f"   restarts: {status.restarts}" if status.restarts else ""
    why = f"   {status.why.splitlines()[0][:100]}" if status.why and status.state not in ("ready", "stopped") else ""
    note = f"   {status.note}" if status.note and status.state == "ready" else ""
    where = ", ".join(status.addresses)
    return f"  {status.name:<14} {status.state:<10} {pid:>8}   {where}{note}{restarts}{why}".rstrip()
