"""All processes of a system: started in the order of what they need, ended in the reverse order."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from local.process import Failed, Process, Say, State
from local.spec import Spec

_LOOK_AT_LOGS_EVERY = 30.0
_MAX_LOG_BYTES = 64 * 1024 * 1024


class Supervisor:
    """The same one under `python -m local up` and in tests. It must live in the thread that ends last (PR_SET_PDEATHSIG)."""

    def __init__(self, specs: Iterable[Spec], logs: Path, say: Say, *, respawn: bool = True) -> None:
        self._say = say
        self.processes = {spec.name: Process(spec, logs / f"{spec.name}.log", say, respawn=respawn) for spec in specs}
        self._trimmer: asyncio.Task[None] | None = None

    async def start(self, within: float = 90) -> None:
        """Returns when every process is ready, each begun when those before it were. Raises Failed, with all still running."""
        self._trimmer = asyncio.create_task(self._trim_logs())
        begun = {name: asyncio.create_task(self._start_one(name, within)) for name in self.processes}
        try:
            failures = await asyncio.gather(*begun.values(), return_exceptions=True)
        finally:
            for task in begun.values():
                task.cancel()
        for failure in failures:
            if failure is not None:
                raise failure

    async def _start_one(self, name: str, within: float) -> None:
        process = self.processes[name]
        for other in process.spec.after:
            if other in self.processes:
                process.why = f"waits for {other}"
                # What it needs is a matter of order at the first start only: later each copes with the others' absence.
                await self.processes[other].start(within)
        await process.start(within)

    async def stop(self) -> None:
        """Ends all, each after those that need it. Bounded by the sum of the `stop_within` along one chain."""
        if self._trimmer is not None:
            self._trimmer.cancel()
        ended = {name: asyncio.Event() for name in self.processes}
        await asyncio.gather(*(self._stop_one(name, ended) for name in self.processes))

    async def _stop_one(self, name: str, ended: dict[str, asyncio.Event]) -> None:
        try:
            for other in self.processes.values():
                if name in other.spec.after:
                    await ended[other.name].wait()
            was_running = self.processes[name].state is not State.STOPPED
            said = await self.processes[name].stop()
            if was_running:
                self._say(name, said)
        finally:
            ended[name].set()

    async def _trim_logs(self) -> None:
        """A log that has grown too long becomes `NAME.log.1`, and its process goes on writing at the start of an empty one."""
        while True:
            await asyncio.sleep(_LOOK_AT_LOGS_EVERY)
            for process in self.processes.values():
                if process.log.exists() and process.log.stat().st_size > _MAX_LOG_BYTES:
                    await asyncio.to_thread(_trim, process.log)


def _trim(log: Path) -> None:
    # Processes append to a descriptor they hold, so the file is copied and emptied, not renamed.
    log.with_suffix(".log.1").write_bytes(log.read_bytes())
    with log.open("r+b") as file:
        file.truncate(0)


__all__ = ["Failed", "Supervisor"]
