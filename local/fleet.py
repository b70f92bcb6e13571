"""The stream nodes of a running system: more, fewer, one left empty. The edge is told while it runs and reloads nothing."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

from local import admin, environment, ours
from local.control import Message
from local.place import STREAM_PLACES
from local.process import Process, State
from local.site import Site
from local.supervisor import Supervisor

_READY_WITHIN = 60.0
_SEEN_WITHIN = 15.0
# Seconds beside a node's own end: for what its streams' clients still say and take.
_EMPTY_BESIDE = 40.0
_ASK_EVERY = 0.1
_OF_NODES = re.compile(r"STREAM_(WIRE_)?\d")


class Fleet:
    """Every method yields what it did, process by process; it can be asked again when one has failed half way."""

    def __init__(self, site: Site, supervisor: Supervisor) -> None:
        self._site, self._supervisor = site, supervisor

    async def scale(self, count: int) -> AsyncIterator[Message]:
        """So many nodes: new ones take the lowest places that are free, the highest go first."""
        if not 1 <= count <= len(STREAM_PLACES):
            raise ValueError(f"{count} stream nodes: there can be 1 to {len(STREAM_PLACES)}")
        here = self._site.stream_nodes
        for name in [place for place in STREAM_PLACES if place not in here][: max(0, count - len(here))]:
            yield {"name": name, "said": await self._add(name)}
        for name in reversed(here[count:]):
            yield {"name": name, "said": await self.remove(name)}

    async def drain(self, name: str) -> str:
        """No new users for the node, and its streams leave evenly, over DRAIN seconds; it goes on running. `fill` ends that."""
        process = self._process(name)
        await admin.drain(self._socket, name)
        self._keep(self._site.stream_nodes, {*self._site.drained, name})
        process.note = ours.DRAINED
        process.tell(signal.SIGUSR1)
        async with asyncio.timeout(process.spec.stop_within + _EMPTY_BESIDE):
            while await admin.streams(self._socket, name):  # noqa: ASYNC110  (another process: nothing to await)
                await asyncio.sleep(_ASK_EVERY)
        return "drained: it has no stream any more, and gets none until `fill`"

    async def fill(self, name: str) -> str:
        """Its users come to a drained node again, as they connect; a node that is not ready gets none."""
        process = self._process(name)
        if process.state is not State.READY:
            raise ValueError(f"{name} is not ready: {process.why or process.state.value}")
        await self._give_place(name)
        self._keep(self._site.stream_nodes, {*self._site.drained} - {name})
        process.note = ""
        return "takes its users again"

    async def remove(self, name: str) -> str:
        """The node ends its streams evenly and then itself; nobody else moves. The last one stays."""
        process = self._process(name)
        if self._site.stream_nodes == (name,):
            raise ValueError(f"{name} is the last stream node")
        await admin.drain(self._socket, name)
        said = await process.stop()
        await admin.clear(self._socket, name)
        del self._supervisor.processes[name]
        self._keep([node for node in self._site.stream_nodes if node != name], self._site.drained)
        return f"removed: {said}"

    async def _add(self, name: str) -> str:
        if name not in self._supervisor.processes:
            # What the other nodes were given beside their own: settings of a test, or of the shell that began it all.
            pattern = self._process(self._site.stream_nodes[0]).spec.environment
            spec = ours.stream(self._site, name)
            self._supervisor.add(replace(spec, environment={**pattern, **spec.environment}))
        await self._process(name).start(_READY_WITHIN)
        self._keep([*self._site.stream_nodes, name], self._site.drained)
        await self._give_place(name)
        return f"ready on {', '.join(self._process(name).addresses)}"

    async def _give_place(self, name: str) -> None:
        await admin.place(self._socket, name, (self._site.at_port(name), self._site.at_port(f"{name}-wire")))
        async with asyncio.timeout(_SEEN_WITHIN):
            while not await admin.is_up(self._socket, name):  # noqa: ASYNC110
                await asyncio.sleep(_ASK_EVERY)

    def _keep(self, names: Iterable[str], drained: Iterable[str]) -> None:
        """After a restart, of the edge or of everything, there are these nodes, and these of them are drained."""
        self._site.keep_stream_nodes(names, drained)
        edge = self._supervisor.processes["haproxy"]
        others = {name: value for name, value in edge.spec.environment.items() if not _OF_NODES.fullmatch(name)}
        edge.spec = replace(edge.spec, environment={**others, **environment.of_stream_nodes(self._site)})
        environment.write(self._site)

    def _process(self, name: str) -> Process:
        if name not in self._supervisor.processes or name not in STREAM_PLACES:
            raise ValueError(f"there is no stream node {name!r}: there are {', '.join(self._site.stream_nodes)}")
        return self._supervisor.processes[name]

    @property
    def _socket(self) -> Path:
        return self._site.place.sockets / "haproxy.sock"
