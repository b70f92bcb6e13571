"""One process under supervision: started, watched, started again when it dies, ended within a bound."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from local import child as children
from local.backoff import Backoff
from local.child import Child, tail_of
from local.spec import Spec

_READY_ANSWER_WITHIN = 10.0
_ASK_EVERY = 0.1
_MAX_WHY = 500

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
        self.ready_after: float | None = None  # seconds from its last start
        self.why = ""  # what it still lacks, or how it ended
        self.note = ""  # what a person may want to know of it
        self._say, self._respawn = say, respawn
        self._child: Child | None = None
        self._life: asyncio.Task[None] | None = None
        self._wanted = False
        self._changed = asyncio.Condition()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def addresses(self) -> tuple[str, ...]:
        return self.spec.addresses

    @property
    def env(self) -> Mapping[str, str]:
        """What its clients need in their environment."""
        return self.spec.offers

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.returncode is None else None

    def await_turn(self, why: str) -> None:
        """Unless it runs, it counts as starting from now on, though others must be ready first. Begins a new log."""
        if self._life is None or self._life.done():
            self.state, self.why = State.STARTING, why
            with suppress(FileNotFoundError):
                self.log.rename(self.log.with_suffix(".log.1"))

    async def start(self, within: float = 60) -> None:
        """Returns when it is ready; starts it if it does not run. Raises Failed."""
        if self._life is None or self._life.done():
            self._wanted = True
            self.state = State.STARTING
            self._life = asyncio.create_task(self._watched(), name=f"life of {self.name}")
        await self.until_ready(within)

    async def until_ready(self, within: float) -> None:
        """Returns when it is ready, whoever starts it. Raises Failed."""
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
        said = "was not running"
        if self._child is not None and self._child.returncode is None:
            said = await children.end(self._child, how or self.spec.stop_signal, self.spec.stop_within)
        if self._life is not None:
            self._life.cancel()
            with suppress(asyncio.CancelledError):
                await self._life
        self.why = said
        await self._set(State.STOPPED)
        return said

    def tell(self, which: signal.Signals) -> None:
        """Tells the process something that does not end it."""
        if self.pid is not None:
            os.kill(self.pid, which)

    async def kill(self) -> None:
        """SIGKILL, as a crash would do it. A supervised process comes back by itself."""
        if self._child is not None and self._child.returncode is None:
            await children.kill(self._child)

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open and nothing comes out of them, until `thaw`. Who freezes a process thaws it."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, which: signal.Signals) -> None:
        if self.pid is not None:
            os.killpg(self.pid, which)

    async def _watched(self) -> None:
        """A fault of the keeping itself must not go unseen: nobody would start the process again."""
        try:
            await self._live()
        except Exception as error:
            self.why = f"is not watched any more, by a fault of the supervisor: {error!r}"
            self._say(self.name, self.why)
            await self._set(State.FAILED)

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
            child = self._child = await children.spawn(self.spec, self.log)
        except Exception as error:  # a directory, a tool, a file: whatever it was, it is told and tried again
            self.why = f"could not be started: {error}"
            return 0.0
        ready = asyncio.create_task(self._until_ready())
        death = asyncio.create_task(child.wait())
        try:
            await asyncio.wait((ready, death), return_when=asyncio.FIRST_COMPLETED)
            ready_since = None if death.done() else time.monotonic()
            if ready_since is not None:
                self.ready_after = ready_since - began
                await self._set(State.READY)
                self._say(self.name, f"ready on {', '.join(self.addresses)} after {self.ready_after:.1f} s")
            code = await death
        finally:
            ready.cancel()
            death.cancel()
        self.why = children.how_ended(code)
        return 0.0 if ready_since is None else time.monotonic() - ready_since

    async def _until_ready(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_READY_ANSWER_WITHIN):
                    said = await self.spec.ready()
            except Exception as error:  # a client library may raise anything while its server comes up
                self.why = f"not ready yet: {error!r}"[:_MAX_WHY]
                await asyncio.sleep(_ASK_EVERY)
            else:
                self.why, self.note = "", said if isinstance(said, str) else ""
                return

    async def _set(self, state: State) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()
