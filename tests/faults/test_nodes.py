"""Nodes are killed, stopped and frozen while people post: G3, G6."""

import asyncio
import os
import random
import signal
import time

from tests.doors import DOORS
from tests.faults.model import Follower, World, arrive, until

# Seconds; FAULT_SECONDS=30 shows the same for longer.
_STANDS_STILL = float(os.environ.get("FAULT_SECONDS", "3"))


async def test_g3_a_node_killed_in_the_middle_of_a_burst_loses_and_doubles_nothing(world: World) -> None:
    authors = [await world.author() for _ in range(4)]
    followers = [await world.follower(random.sample(authors, 2)) for _ in range(16)]
    async with world.staying(*followers):
        assert {follower.hellos[0]["node"] for follower in followers} == {"stream-1", "stream-2"}
        bursts = [asyncio.create_task(author.burst(120, 0.02)) for author in authors]
        for node in ("stream-1", "stream-2"):
            await asyncio.sleep(0.7)
            await world.system.kill(node)
            await world.system.start(node)
        await asyncio.gather(*bursts)
        await arrive(*followers)

    assert not any(follower.seen("gap") for follower in followers)
    assert any(len(follower.hellos) > 1 for follower in followers), "nobody was cut"
    assert all(hello["resumed"] for follower in followers for hello in follower.hellos[1:])


@DOORS
async def test_g3_a_client_cut_again_and_again_in_the_middle_of_its_replay_gets_everything_once(
    world: World, door: str
) -> None:
    authors = [await world.author() for _ in range(5)]
    follower = await world.follower(authors)
    async with world.staying(follower):
        pass
    await asyncio.gather(*(author.burst(30) for author in authors))

    reader: Follower = follower
    for turn in range(200):
        reader = await world.straight(f"stream-{turn % 2 + 1}", reader, door)
        most = random.randrange(1, 12)
        async for _ in reader.read(world.client):
            most -= 1
            if most == 0 or not reader.lacks():
                break
        if not reader.lacks():
            break

    reader.check()
    assert not reader.seen("gap")


@DOORS
async def test_g3_a_client_that_comes_to_a_node_that_lags_gets_what_it_lacks_and_nothing_again(
    world: World, door: str
) -> None:
    author = await world.author()
    home = await world.follower([author])
    reader = await world.straight("stream-1", home, door)
    lagging = world.system.processes["stream-2"].pid
    assert lagging
    async with world.staying(reader):
        os.kill(lagging, signal.SIGSTOP)
        try:
            await author.burst(40)
            await until(lambda: not reader.lacks())
        finally:
            # An edge that has just come knows nothing ill of the node yet.
            moved = await world.straight("stream-2", reader, door)
            coming = asyncio.create_task(moved.stay(world.client))  # waits at the door of the frozen node
            await asyncio.sleep(0.2)
            os.kill(lagging, signal.SIGCONT)
    await author.burst(10)
    await arrive(moved)
    coming.cancel()

    assert moved.hellos[0]["resumed"] is True
    assert not moved.seen("gap")


async def test_g3_clients_that_reconnect_while_the_storekeeper_stands_still_miss_nothing(world: World) -> None:
    authors = [await world.author() for _ in range(3)]
    followers = [await world.follower(authors) for _ in range(8)]
    async with world.staying(*followers):
        pass  # each has a cursor, and everybody it follows is known
    storekeeper = world.system.processes["storekeeper-1"].pid
    assert storekeeper
    os.kill(storekeeper, signal.SIGSTOP)
    until_then = time.monotonic() + _STANDS_STILL
    try:
        while True:
            await asyncio.gather(*(author.burst(10) for author in authors))
            async with world.staying(*followers):
                await arrive(*followers)
            if time.monotonic() > until_then:
                break
    finally:
        os.kill(storekeeper, signal.SIGCONT)

    assert not any(follower.seen("gap") for follower in followers)
