"""All processes of a system: started in the order of what they need, ended in the reverse order."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from local.process import Failed, Process, Say, State
from local.spec import Spec


class Supervisor:
    """The same one under `python -m local up` and in tests. It must live in the thread that ends last (PR_SET_PDEATHSIG)."""

    def __init__(self, specs: Iterable[Spec], logs: Path, say: Say, *, respawn: bool = True) -> None:
        self._say, self._logs, self._respawn = say, logs, respawn
        self.processes: dict[str, Process] = {}
        for spec in specs:
            self.add(spec)
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, spec: Spec) -> None:
        """One more process, that nobody has started yet."""
        log = self._logs / f"{spec.name}.log"
        self.processes[spec.name] = Process(spec, log, self._say, respawn=self._respawn)

    async def start(self, within: float = 90) -> None:
        """Returns when every process is ready, each begun when those it needs were.

        Raises Failed as soon as one has failed; the others go on starting until `stop`.
        """
        for process in self.processes.values():
            process.await_turn(f"waits for {', '.join(process.spec.after)}")
        begun = [asyncio.create_task(self._start_one(process, within)) for process in self.processes.values()]
        self._tasks += begun
        done, _ = await asyncio.wait(begun, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def _start_one(self, process: Process, within: float) -> None:
        for name in process.spec.after:
            if name in self.processes:
                # Order is a courtesy that keeps logs quiet: each must cope with the others' absence anyway.
                with suppress(Failed):
                    await self.processes[name].until_ready(within)
        if process.state is not State.STOPPED:  # nobody has stopped it meanwhile
            await process.start(within)

    async def stop(self) -> None:
        """Ends all, each after those that need it. Bounded by the sum of the `stop_within` along one chain."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
