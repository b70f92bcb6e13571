"""What one process is: how to start it, how to know that it is ready, how to end it."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


async def nothing_to_do() -> None:
    """For a process that needs no preparation."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A process that the supervisor can keep running.

    `ready` returns when the process does its work, and raises whatever it likes until then; it is asked again and again.
    A text that it returns is shown to people beside the process.
    `prepare` runs before every start and can be repeated. `environment` is added to the supervisor's own.
    `offers` is what a client of this process needs in its environment.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], Awaitable[object]]
    addresses: tuple[str, ...] = ()
    prepare: Callable[[], Awaitable[object]] = nothing_to_do
    environment: Mapping[str, str] = field(default_factory=dict)
    offers: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    cwd: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    # Seconds that a clean end may take. Then it is killed, and said so.
    stop_within: float = 15
    # What the kernel sends it when the supervisor is gone.
    death_signal: signal.Signals = signal.SIGKILL
