"""Carries out what commands ask of a running supervisor."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine

from local.admin import Refused
from local.control import Message
from local.fleet import Fleet
from local.process import Failed, State
from local.status import Status
from local.supervisor import Supervisor

log = logging.getLogger(__name__)

_START_ONE_WITHIN = 60
_FAILURES = (Failed, Refused, ValueError, OSError, TimeoutError)


class Desk:
    """`end` is set when somebody asks for `down`; whoever runs the supervisor sets `ended` when it is done."""

    def __init__(self, supervisor: Supervisor, fleet: Fleet, end: asyncio.Event) -> None:
        self._supervisor, self._fleet, self._end = supervisor, fleet, end
        self.ended = asyncio.Event()
        # One change of the nodes at a time: each reads which there are, and writes it.
        self._changing = asyncio.Lock()

    async def start_all(self) -> None:
        try:
            await self._supervisor.start()
        except Failed as failure:
            log.error("%s", failure)

    async def answer(self, request: Message) -> AsyncIterator[Message]:
        """What `control.ask` may ask: a verb, often with a name. The last message has `done`, or `error`."""
        match request:
            case {"do": "status"}:
                yield {"done": [Status.of(process).as_json() for process in self._supervisor.processes.values()]}
            case {"do": "start" | "stop" as verb, "name": str(name)} if name in self._supervisor.processes:
                yield await self._act(verb, name)
            case {"do": "start" | "stop"}:
                yield {
                    "error": f"there is no {request.get('name')!r}: the processes are {', '.join(self._supervisor.processes)}"
                }
            case {"do": "scale", "count": int(count)}:
                async for message in self._scaled(count):
                    yield message
            case {"do": "drain" | "fill" | "remove" as verb, "name": str(name)}:
                yield await self._done(getattr(self._fleet, verb)(name))
            case {"do": "down"}:
                self._end.set()
                async for message in self._watch_end():
                    yield message
            case _:
                yield {"error": f"not understood: {request}"}

    async def _act(self, verb: str, name: str) -> Message:
        process = self._supervisor.processes[name]
        if verb == "stop":
            return {"done": await process.stop()}
        try:
            await process.start(_START_ONE_WITHIN)
        except Failed as failure:
            return {"error": str(failure)}
        return {"done": f"ready on {', '.join(process.addresses)}"}

    async def _scaled(self, count: int) -> AsyncIterator[Message]:
        try:
            async with self._changing:
                async for message in self._fleet.scale(count):
                    yield message
            yield {"done": f"{count} stream nodes"}
        except _FAILURES as failure:
            yield {"error": str(failure) or "the edge or a node did not answer in time"}

    async def _done(self, work: Coroutine[object, object, str]) -> Message:
        try:
            async with self._changing:
                return {"done": await work}
        except _FAILURES as failure:
            return {"error": str(failure) or "the edge or the node did not answer in time"}

    async def _watch_end(self) -> AsyncIterator[Message]:
        """Names each process as it ends."""
        left = {n for n, process in self._supervisor.processes.items() if process.state is not State.STOPPED}
        while left or not self.ended.is_set():
            gone = {n for n in left if self._supervisor.processes[n].state is State.STOPPED}
            for name in sorted(gone):
                yield {"name": name, "said": self._supervisor.processes[name].why}
            left -= gone
            await asyncio.sleep(0.02)
        yield {"done": True}
