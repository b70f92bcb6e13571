"""A whole system of a test's own, on private ports, in the test's process.

async with System(directory) as system:                        # or only=["stream-1"]: that and what it needs
    system.address                                             # http://localhost:PORT, the edge
    system.env["KAFKA_SERVERS"]                                # everything of `<directory>/env`
    system.processes["stream-1"].pid
    await system.kill("stream-1")                              # SIGKILL; comes back by itself, after 0.2 s
    await system.stop("mongo"); await system.start("mongo")    # stays away in between
    await system.stop("mongo", signal.SIGKILL)                 # the same, with a crash instead of a clean end
    system.freeze("mongo"); system.thaw("mongo")               # it hangs in between: SIGSTOP, SIGCONT
"""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from local import environment
from local.fleet import Fleet
from local.place import Place
from local.plan import port_names, specs
from local.process import Process
from local.site import Site, renew_ports
from local.supervisor import Supervisor


class System:
    """Entering returns when every process is ready, or raises Failed with the end of the log. Leaving ends them all."""

    def __init__(
        self,
        directory: Path | str,
        only: Sequence[str] | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        within: float = 90,
    ) -> None:
        """`settings` are environment variables for every process, beside and above those of `env`."""
        self.site = Site.at(Place.at(directory))
        self._only, self._settings, self._within = only, dict(settings or {}), within
        self._supervisor: Supervisor | None = None

    async def __aenter__(self) -> Self:
        renew_ports(self.site, port_names())
        wanted = await asyncio.to_thread(specs, self.site, self._only)
        wanted = [replace(spec, environment={**spec.environment, **self._settings}) for spec in wanted]
        environment.write(self.site)
        self._supervisor = Supervisor(wanted, self.site.place.logs, lambda *_: None)
        try:
            await self._supervisor.start(self._within)
        except BaseException:
            await self._supervisor.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._supervisor is not None:
            await self._supervisor.stop()

    @property
    def address(self) -> str:
        return self.site.address

    @property
    def tls_address(self) -> str:
        return self.site.tls_address

    @property
    def stats_address(self) -> str:
        return f"http://127.0.0.1:{self.site.stats}"

    @property
    def env(self) -> Mapping[str, str]:
        return {**environment.shared(self.site), **environment.of_edge(self.site), **self._settings}

    @property
    def processes(self) -> Mapping[str, Process]:
        return self._supervisor.processes if self._supervisor is not None else {}

    @property
    def fleet(self) -> Fleet:
        """Its stream nodes: more, fewer, drained."""
        assert self._supervisor is not None
        return Fleet(self.site, self._supervisor)

    async def start(self, name: str) -> None:
        """Returns when it is ready."""
        await self.processes[name].start(self._within)

    async def stop(self, name: str, how: signal.Signals | None = None) -> str:
        """Ends it and keeps it ended until `start`."""
        return await self.processes[name].stop(how)

    async def kill(self, name: str) -> None:
        """SIGKILL. It is started again by itself; `await system.start(name)` waits until it is ready."""
        await self.processes[name].kill()

    def freeze(self, name: str) -> None:
        """SIGSTOP: it hangs, with its connections open, until `thaw`."""
        self.processes[name].freeze()

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.processes[name].thaw()
