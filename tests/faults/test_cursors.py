"""Cursors that nobody gave, and places that disagree: G3, each with its defined answer."""

import asyncio
import random

import httpx
import pytest

from store import cursor
from tests.e2e.people import Got, Person
from tests.faults.model import Follower, World


async def first_frames(world: World, person: Person, at: str, count: int = 3) -> list[Got]:
    reader = Follower(world.address, {"Authorization": f"Bearer {person.token}"}, [], at=at)
    frames: list[Got] = []
    headers = reader.headers | {"Last-Event-ID": at}
    reader.at = None
    async with asyncio.timeout(30):
        reader.headers = headers
        async for frame in reader.read(world.client):
            if frame.event != "heartbeat":  # whose first one comes when it likes
                frames.append(frame)
            if len(frames) == count:
                break
    return frames


async def known(world: World, person: Person) -> cursor.Cursor:
    reader = Follower(world.address, {"Authorization": f"Bearer {person.token}"}, [])
    async with world.staying(reader):
        pass
    assert reader.at
    return cursor.decode(reader.at)


async def test_g3_a_cursor_that_cannot_be_followed_is_answered_by_a_gap_and_a_snapshot(world: World) -> None:
    person = await Person.signed_up(world.address, world.client)
    here = await known(world, person)
    good = cursor.encode(here.epoch, here.offsets)
    cases = {
        "cut short": (good[:-2], {"malformed", "epoch"}),
        "one character more": (good + "A", {"malformed", "epoch"}),
        "another epoch": (cursor.encode("deadbeef", here.offsets), {"epoch"}),
        "fewer partitions": (cursor.encode(here.epoch, here.offsets[:-1]), {"epoch"}),
        "more partitions": (cursor.encode(here.epoch, (*here.offsets, 0)), {"epoch"}),
        "words": ("'; DROP TABLE events; --", {"malformed"}),
        "long": ("A" * 8000, {"malformed", "epoch"}),
    }

    for name, (text, reasons) in cases.items():
        hello, gap, snapshot = await first_frames(world, person, text)
        assert (hello.event, hello.data["resumed"]) == ("hello", False), name
        assert (gap.event, gap.data["reason"] in reasons, gap.data["from"]) == ("gap", True, text), (name, gap)
        assert snapshot.event == "snapshot", name


async def test_g3_any_bytes_at_all_as_a_cursor_are_answered_by_a_stream(world: World) -> None:
    person = await Person.signed_up(world.address, world.client)
    chance = random.Random(5)
    for _ in range(30):
        text = "".join(chr(chance.randrange(33, 127)) for _ in range(chance.randrange(1, 120)))
        hello, gap, snapshot = await first_frames(world, person, text)
        assert (hello.event, gap.event, snapshot.event) == ("hello", "gap", "snapshot"), text


async def test_g3_a_cursor_ahead_of_the_whole_log_is_a_gap_after_a_while_and_hides_nothing_from_then_on(
    world: World,
) -> None:
    person = await Person.signed_up(world.address, world.client)
    here = await known(world, person)
    forged = cursor.encode(here.epoch, [offset + 10**6 for offset in here.offsets])

    hello, gap, snapshot = await first_frames(world, person, forged)
    assert (hello.event, gap.event, gap.data["reason"], snapshot.event) == ("hello", "gap", "ahead", "snapshot")

    reader = Follower(world.address, {"Authorization": f"Bearer {person.token}"}, [], at=snapshot.id)
    async with world.staying(reader):
        await person.post("heard")
        async with asyncio.timeout(10):
            while not reader.seen("post"):
                await asyncio.sleep(0.02)


async def test_the_header_wins_over_the_query(world: World) -> None:
    person = await Person.signed_up(world.address, world.client)
    here = await known(world, person)
    headers = {"Authorization": f"Bearer {person.token}", "Last-Event-ID": cursor.encode(here.epoch, here.offsets)}
    url = f"{world.address}/v1/stream?cursor=garbage"
    async with world.client.stream("GET", url, headers=headers, timeout=None) as answer:
        lines = answer.aiter_lines()
        hello = [await anext(lines) for _ in range(3)]

    assert '"resumed":true' in hello[2]


@pytest.mark.parametrize("other", ["garbage", "AQ"])
async def test_two_cursors_in_two_headers_are_refused(world: World, other: str) -> None:
    person = await Person.signed_up(world.address, world.client)
    headers = [("Authorization", f"Bearer {person.token}"), ("Last-Event-ID", "x"), ("Last-Event-ID", other)]
    answer = await world.client.get(f"{world.address}/v1/stream", headers=httpx.Headers(headers))

    assert (answer.status_code, answer.json()["error"]) == (400, "cursor-ambiguous")
