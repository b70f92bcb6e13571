"""One run: one server, one scenario, with HAProxy before it or alone."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.compare import load
from bench.compare.edge import edge
from bench.compare.peer import Peer
from bench.compare.phases import Run
from bench.compare.results import Row
from bench.compare.scenario import Position, Scenario


@asynccontextmanager
async def prepared(
    kind: type[Peer], scenario: Scenario, directory: Path, say: Callable[[Row], None], position: Position
) -> AsyncIterator[Run]:
    """A server, HAProxy if wanted, and the client; no stream is open yet. `directory` is emptied. Raises Missing, RuntimeError."""
    _empty(directory)
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(kind(scenario, directory))
        port, pids = peer.port, list[int]()
        if position is not Position.ALONE:
            port, child = await stack.enter_async_context(edge(peer, position))
            pids = [child.pid]
        heads = peer.heads(position)
        client = await stack.enter_async_context(load.running(directory, scenario, port, peer.way, heads))
        yield Run(scenario, peer, client, pids, say)


async def run(
    kind: type[Peer], scenario: Scenario, directory: Path, say: Callable[[Row], None], position: Position
) -> None:
    """Has the server do all of the scenario. The same rules as for `prepared`."""
    async with prepared(kind, scenario, directory, say, position) as one:
        await one.connect()
        for phase in scenario.phases:
            match phase:
                case "steady":
                    await one.phase(phase, one.steady)
                case "bursts":
                    await one.phase(phase, one.bursts)
                case "stall":
                    await one.stall()
                case "storm":
                    await one.storm()


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
