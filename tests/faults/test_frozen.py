"""Processes of ours stand still, as in a paused machine or on a lost host, and are then killed: G1, G2, G3 and G7."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from local.system import System
from store.settings import Settings
from tests.faults.beside import one_more
from tests.faults.crowd import Crowd, crowd_in
from tests.faults.test_crashes import partitions

# Seconds; FAULT_SECONDS=30 shows the same for longer.
_FROZEN = float(os.environ.get("FAULT_SECONDS", "5"))
_REFUSED = 5.0  # seconds for which anybody's writes may be refused because of it
_ROOM = 6.0  # for a machine that is busy with other things
_MOVED_WITHIN = 60.0


@pytest.fixture(scope="module")
async def crowd(system: System) -> AsyncIterator[Crowd]:
    async with crowd_in(system) as gathered:
        yield gathered


@pytest.mark.timeout(300)
@pytest.mark.parametrize("process", ["api-1", "api-2", "storekeeper-1", "stream-1", "stream-2"])
async def test_g1_g2_g3_g7_a_process_of_ours_that_stands_still_and_is_killed_keeps_nobody_from_acting_and_loses_nothing(
    crowd: Crowd, process: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncExitStack() as stack:
        meanwhile: Callable[[float], Awaitable[None]] = asyncio.sleep
        if process == "storekeeper-1":
            other = await stack.enter_async_context(one_more(crowd.system, "store", {}, signal.SIGTERM))
            meanwhile = taking_over(other.address)
        async with crowd.acting():
            await asyncio.sleep(0.5)
            crowd.system.freeze(process)
            try:
                await meanwhile(_FROZEN)
            finally:
                await crowd.system.stop(process, signal.SIGKILL)
                over = time.monotonic()
                await crowd.system.start(process)
            took = await crowd.recover(over)
        await crowd.settle()

    with capsys.disabled():
        print(f"\n  {process} frozen for {_FROZEN:.0f} s, then killed: {took}; {crowd.tally}")
    assert crowd.tally.longest < _REFUSED + _ROOM, crowd.tally


def taking_over(storekeeper: str) -> Callable[[float], Awaitable[None]]:
    async def everything(seconds: float) -> None:
        """Kafka gives the other one every partition, while the first stands still."""
        await asyncio.sleep(seconds)
        async with asyncio.timeout(_MOVED_WITHIN):
            while len(await partitions(storekeeper)) < Settings.model_fields["kafka_partitions"].default:
                await asyncio.sleep(0.1)

    return everything
