"""Processes of ours stand still, as in a paused machine or on a lost host, and are then killed: G1, G2, G3 and G7."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from local.system import System
from tests.faults.beside import one_more
from tests.faults.crowd import Crowd, crowd_in

# Seconds; FAULT_SECONDS=30 shows the same for longer.
_FROZEN = float(os.environ.get("FAULT_SECONDS", "5"))
_REFUSED = 5.0  # seconds for which anybody's writes may be refused because of it
_ROOM = 6.0  # for a machine that is busy with other things


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
        if process == "storekeeper-1":
            await stack.enter_async_context(one_more(crowd.system, "store", {}, signal.SIGTERM))
        async with crowd.acting():
            await asyncio.sleep(0.5)
            crowd.system.freeze(process)
            try:
                await asyncio.sleep(_FROZEN)
                moved = await crowd.recover(time.monotonic())  # by the others: it still stands still
            finally:
                await crowd.system.stop(process, signal.SIGKILL)
                over = time.monotonic()
                await crowd.system.start(process)
            took = await crowd.recover(over)
        await crowd.settle()

    with capsys.disabled():
        print(f"\n  {process} frozen for {_FROZEN:.0f} s: {moved}; then killed: {took}; {crowd.tally}")
    assert crowd.tally.longest < _REFUSED + _ROOM, crowd.tally
