"""One process under supervision: started, watched, started again when it dies, ended within a bound."""

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import IO

from local.backoff import Backoff
from local.spec import Spec

_READY_ANSWER_WITHIN = 10.0
_ASK_EVERY = 0.05
_KILLED_WITHIN = 10.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

Say = Callable[[str, str], None]


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"
    FAILED = "failed"
    RESTARTING = "restarting"


class Failed(Exception):
    """A process did not become ready; the text names it, why, and the end of its log."""


class Process:
    """`respawn` says whether it is started again after it has died unasked."""

    def __init__(self, spec: Spec, log: Path, say: Say, *, respawn: bool = True) -> None:
        self.spec, self.log = spec, log
        self.state = State.STOPPED
        self.restarts = 0
        self.ready_after: float | None = None  # seconds from the last start
        self.why = ""  # what it still lacks, or how it ended
        self._say, self._respawn = say, respawn
        self._child: asyncio.subprocess.Process | None = None
        self._life: asyncio.Task[None] | None = None
        self._wanted = False
        self._changed = asyncio.Condition()

    name = property(lambda self: str(self.spec.name))
    addresses = property(lambda self: self.spec.addresses)

    @property
    def env(self) -> Mapping[str, str]:
        """What its clients need in their environment."""
        return self.spec.offers

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.returncode is None else None

    async def start(self, within: float = 60) -> None:
        """Returns when it is ready; starts it if it does not run. Raises Failed."""
        if self._life is None or self._life.done():
            self._wanted = True
            self.state = State.STARTING
            self._life = asyncio.create_task(self._live(), name=f"life of {self.name}")
        try:
            async with asyncio.timeout(within), self._changed:
                await self._changed.wait_for(lambda: self.state in (State.READY, State.FAILED, State.STOPPED))
        except TimeoutError:
            raise Failed(f"{self.name} is not ready after {within:.0f} s: {self.why}\n{tail_of(self.log)}") from None
        if self.state is not State.READY:
            raise Failed(f"{self.name} cannot be started: {self.why}\n{tail_of(self.log)}")

    async def stop(self, how: signal.Signals | None = None) -> str:
        """Ends it and keeps it ended; says how that went. Bounded by the spec's `stop_within` and 10 s more."""
        self._wanted = False
        child, said = self._child, "was not running"
        if child is not None and child.returncode is None:
            began = time.monotonic()
            said = await self._end(child, how or self.spec.stop_signal)
            said += f" in {time.monotonic() - began:.1f} s"
        if self._life is not None:
            self._life.cancel()
            with suppress(asyncio.CancelledError):
                await self._life
        await self._set(State.STOPPED)
        return said

    async def kill(self) -> None:
        """SIGKILL, as a crash would do it. A supervised process comes back by itself."""
        if self._child is not None and self._child.returncode is None:
            self._signal(self._child, signal.SIGKILL)
            await asyncio.wait_for(self._child.wait(), _KILLED_WITHIN)

    async def _end(self, child: asyncio.subprocess.Process, how: signal.Signals) -> str:
        with suppress(ProcessLookupError):
            child.send_signal(how)
        try:
            await asyncio.wait_for(child.wait(), self.spec.stop_within)
        except TimeoutError:
            self._signal(child, signal.SIGKILL)
            await asyncio.wait_for(child.wait(), _KILLED_WITHIN)
            return f"killed: it had not ended by itself after {self.spec.stop_within:.0f} s"
        return "ended"

    async def _live(self) -> None:
        backoff = Backoff()
        while True:
            await self._set(State.STARTING)
            ready_for = await self._live_once()
            if not self._wanted or not self._respawn:
                # Without respawn a death is the caller's business: it asked for a server, not for a keeper.
                await self._set(State.STOPPED)
                return
            delay = backoff.after_death(ready_for)
            await self._set(State.FAILED if backoff.has_failed else State.RESTARTING)
            self._say(self.name, f"{self.why}; starting it again in {delay:.1f} s")
            await asyncio.sleep(delay)
            self.restarts += 1

    async def _live_once(self) -> float:
        """One life, from start to death; the seconds for which it was ready."""
        began = time.monotonic()
        try:
            await self.spec.prepare()
            with self.log.open("ab") as log:
                child = self._child = await self._spawn(log)
        except Exception as error:
            self.why = f"could not be started: {error}"
            return 0.0
        ready = asyncio.create_task(self._until_ready())
        death = asyncio.create_task(child.wait())
        try:
            await asyncio.wait((ready, death), return_when=asyncio.FIRST_COMPLETED)
            was_ready = not death.done()
            if was_ready:
                ready.result()
                self.ready_after = time.monotonic() - began
                await self._set(State.READY)
                self._say(self.name, f"ready on {', '.join(self.addresses) or 'nothing'}   {self.ready_after:.1f} s")
            began = time.monotonic()
            code = await death
        finally:
            ready.cancel()
            death.cancel()
        self.why = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return time.monotonic() - began if was_ready else 0.0

    async def _until_ready(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_READY_ANSWER_WITHIN):
                    await self.spec.ready()
            except Exception as error:  # a client library may raise anything while its server comes up
                self.why = f"not ready yet: {error!r}"[:500]
                await asyncio.sleep(_ASK_EVERY)
            else:
                self.why = ""
                return

    async def _spawn(self, log: IO[bytes]) -> asyncio.subprocess.Process:
        parent, death_signal = os.getpid(), int(self.spec.death_signal)

        def tie_to_parent() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

        return await asyncio.create_subprocess_exec(
            *self.spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.spec.cwd,
            env={**os.environ, **self.spec.environment},
            start_new_session=True,
            preexec_fn=tie_to_parent,
        )

    def _signal(self, child: asyncio.subprocess.Process, number: signal.Signals) -> None:
        """To the whole group: a server's own children must not outlive it."""
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    async def _set(self, state: State) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()


def tail_of(log: Path, lines: int = 15) -> str:
    """The last lines of a log, each indented; empty if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text)
