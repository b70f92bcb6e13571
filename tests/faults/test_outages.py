"""Servers are killed, or hang, while a crowd acts: G1, G2, G3 and G7. `make faults` does it for 30 s each."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest

from local.system import System
from tests.faults.crowd import Crowd, Recovery, crowd_in

# Seconds; FAULT_SECONDS=30 shows the same for longer.
_GONE = float(os.environ.get("FAULT_SECONDS", "5"))

# What goes at the same time: the replica stands in nobody's way, and is once alone.
_KILLED = [("kafka-1", "mysql-replica"), ("mongo",), ("redis",), ("mysql-primary",)]
_HANGING = [("kafka-1",), ("mongo", "mysql-replica"), ("redis",), ("mysql-primary",), ("mysql-replica",)]
_LONGEST_WAIT = 5.0  # of the API for a server that hangs: MongoDB, or the primary, a second for a connection in it
_ROOM = 3.0  # for a machine that is busy with other things


@pytest.fixture(scope="module")
async def crowd(system: System) -> AsyncIterator[Crowd]:
    async with crowd_in(system) as gathered:
        yield gathered


@pytest.mark.parametrize("servers", _KILLED, ids="+".join)
async def test_g1_g2_g3_g7_a_server_killed_under_load_costs_nobody_anything(
    crowd: Crowd, servers: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with crowd.nobody_of_us_restarts():
        async with crowd.acting():
            await asyncio.sleep(0.5)
            await asyncio.gather(*(crowd.system.stop(server, signal.SIGKILL) for server in servers))
            try:
                await asyncio.sleep(_GONE)
            finally:
                over = time.monotonic()
                await asyncio.gather(*(crowd.system.start(server) for server in servers))
            took = await crowd.recover(over)
        await crowd.settle()

    tell(capsys, f"{'+'.join(servers)} killed", crowd, took)
    check_answers(crowd, servers)
    check_repeats(crowd, servers)


@pytest.mark.parametrize("servers", _HANGING, ids="+".join)
async def test_g1_g2_g3_g7_a_server_that_hangs_under_load_costs_nobody_anything(
    crowd: Crowd, servers: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with crowd.nobody_of_us_restarts():
        async with crowd.acting():
            await asyncio.sleep(0.5)
            for server in servers:
                crowd.system.freeze(server)
            try:
                await asyncio.sleep(_GONE)
            finally:
                over = time.monotonic()
                for server in servers:
                    crowd.system.thaw(server)
            took = await crowd.recover(over)
        await crowd.settle()

    tell(capsys, f"{'+'.join(servers)} hanging", crowd, took)
    check_answers(crowd, servers)
    check_repeats(crowd, servers)


def check_answers(crowd: Crowd, gone: tuple[str, ...]) -> None:
    """Only the primary is needed for writing, and only MongoDB for reading. Everybody reads what they have written themselves."""
    if "mysql-primary" not in gone:
        assert not crowd.tally.refused("write"), crowd.tally
    if "mongo" not in gone:
        assert not crowd.tally.refused("read"), crowd.tally
    if not {"mysql-primary", "redis"} & set(
        gone
    ):  # Redis knows who has written; without the primary the replica has to do
        assert not crowd.tally.stale, crowd.tally
    assert crowd.tally.slowest < _LONGEST_WAIT + _ROOM, crowd.tally


def check_repeats(crowd: Crowd, gone: tuple[str, ...]) -> None:
    """What Kafka, or the primary's outbox, did not confirm is told again, each once; nothing else is."""
    repeats = [count for member in crowd.members for count in member.page.repeats.values()]
    assert max(repeats, default=0) <= (1 if {"kafka-1", "mysql-primary"} & set(gone) else 0)


def tell(capsys: pytest.CaptureFixture[str], what: str, crowd: Crowd, took: Recovery) -> None:
    deeds = sum(len(member.deeds) for member in crowd.members)
    repeats = sum(member.page.repeats.total() for member in crowd.members)
    with capsys.disabled():
        print(f"\n  {what} for {_GONE:.0f} s: {took}; {deeds} deeds, {repeats} repeats on pages; {crowd.tally}")
