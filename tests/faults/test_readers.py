"""Readers that stop reading, stay away too long, or change their mind: G3, G4."""

import asyncio
import signal
import socket
from urllib.parse import urlsplit

from bench.direct import resident_kb
from tests.e2e.people import Person
from tests.faults.model import Author, Follower, World, arrive, until

_LONG = "long " * 190


async def deaf(world: World, follower: Follower) -> socket.socket:
    """Opens the follower's stream on a socket that takes very little, and never reads from it."""
    url = urlsplit(world.system.address)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((url.hostname, url.port))
    head = f"GET /v1/stream HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: {follower.headers['Authorization']}\r\n"
    sock.sendall(f"{head}Last-Event-ID: {follower.at}\r\n\r\n".encode())
    return sock


async def test_g4_a_reader_that_stops_reading_delays_nobody_costs_no_memory_and_misses_nothing(hasty: World) -> None:
    author = await hasty.author()
    stuck = await hasty.follower([author])
    others = [await hasty.follower([author]) for _ in range(40)]
    async with hasty.staying(stuck):
        pass
    sock = await deaf(hasty, stuck)
    pids = [hasty.system.processes[node].pid or 0 for node in ("stream-1", "stream-2")]
    async with hasty.staying(*others):
        before = sum(map(resident_kb, pids))
        for _ in range(400):
            await author.post(_LONG)
            lag = max(len(other.lacks()) for other in others)
            assert lag < 100, "the others wait"
        await arrive(*others)
        grown = sum(map(resident_kb, pids)) - before
    sock.close()
    print(f"the nodes grew by {grown} KB")
    assert grown < 40_000

    async with hasty.staying(stuck):
        await arrive(stuck)


async def test_g3_what_the_ring_has_dropped_comes_from_the_archive_once_and_in_order(hasty: World) -> None:
    authors = [await hasty.author() for _ in range(4)]
    follower = await hasty.follower(authors)
    async with hasty.staying(follower):
        pass
    await asyncio.gather(*(author.burst(60) for author in authors))
    await asyncio.sleep(12)  # the nodes remember ten seconds
    async with hasty.staying(follower):
        await authors[0].burst(5)
        await arrive(follower)

    assert follower.hellos[-1]["resumed"] is True
    assert not follower.seen("gap")


async def test_g3_what_nobody_has_any_more_is_told_by_a_gap_before_anything_else(hasty: World) -> None:
    author = await hasty.author()
    follower = await hasty.follower([author])
    async with hasty.staying(follower):
        pass
    await hasty.system.stop("storekeeper-1", signal.SIGKILL)
    try:
        await author.burst(10)
        await asyncio.sleep(12)
        came = len(follower.frames)
        async with hasty.staying(follower):
            await until(lambda: len(follower.frames) > came + 2)
    finally:
        await hasty.system.start("storekeeper-1")

    hello, gap, snapshot = follower.frames[came : came + 3]
    assert (hello.event, hello.data["resumed"]) == ("hello", False)
    assert (gap.event, gap.data["reason"]) == ("gap", "too-old")
    assert snapshot.event == "snapshot"


async def test_an_author_unfollowed_while_the_stream_replays_is_heard_no_more_and_the_others_wholly(
    hasty: World,
) -> None:
    gone, kept = await hasty.author(), await hasty.author()
    follower = await hasty.follower([gone, kept])
    async with hasty.staying(follower):
        pass
    await asyncio.gather(gone.burst(80), kept.burst(80))
    person = Person(hasty.system.address, hasty.client, "", token=follower.headers["Authorization"].split()[1])

    async def unfollow() -> None:
        assert (await person.call("DELETE", f"/v1/friends/{gone.person.id}")).status_code == 204

    unfollowing = None
    async for frame in follower.read(hasty.client):
        if frame.event == "post" and unfollowing is None:
            unfollowing = asyncio.create_task(unfollow())
        if frame.event == "unfollow":
            break
    await gone.burst(5)
    after = len(follower.frames)
    rest = Follower(follower.address, follower.headers, [kept], follower.frames, follower.at)
    async with hasty.staying(rest):
        await kept.burst(5)
        await arrive(rest)

    late = {frame.data["id"] for frame in follower.frames[after:] if frame.event == "post"}
    assert not late & set(gone.posted)


async def test_g4_one_user_may_have_only_so_many_streams_open(hasty: World) -> None:
    author = Author(await Person.signed_up(hasty.system.address, hasty.client))
    headers = {"Authorization": f"Bearer {author.person.token}"}
    readers = [Follower(hasty.system.address, headers, []) for _ in range(3)]
    async with hasty.staying(*readers):
        fourth = Follower(hasty.system.address, headers, [])
        frames = [frame async for frame in fourth.read(hasty.client)]

    assert [(frame.event, frame.data["reason"]) for frame in frames] == [("bye", "too-many")]
