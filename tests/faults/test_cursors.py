"""Cursors that nobody gave, and places that disagree: G3, each with its defined answer."""

import random
from urllib.parse import quote

import httpx
import pytest

from store import cursor
from tests.doors import DOORS
from tests.e2e.people import Got, Person, listening, listening_by_websocket
from tests.e2e.test_story import WAYS, Open
from tests.faults.model import World

pytestmark = DOORS


async def first_frames(person: Person, open: Open, at: str) -> list[Got]:
    """Up to the snapshot. By SSE the cursor is a header, by WebSocket an argument."""
    async with open(person, quote(at, safe="") if open is listening_by_websocket else at) as page:
        await page.until("snapshot")
    return [frame for frame in page.frames if frame.event != "heartbeat"][:3]  # whose first one comes when it likes


async def known(person: Person) -> cursor.Cursor:
    async with listening(person) as page:
        await page.until("snapshot")
    return cursor.decode(page.cursor)


@WAYS
async def test_g3_a_cursor_that_cannot_be_followed_is_answered_by_a_gap_and_a_snapshot(
    world: World, open: Open
) -> None:
    person = await Person.signed_up(world.address, world.client)
    here = await known(person)
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
        hello, gap, snapshot = await first_frames(person, open, text)
        assert (hello.event, hello.data["resumed"]) == ("hello", False), name
        assert (gap.event, gap.data["reason"] in reasons, gap.data["from"]) == ("gap", True, text), (name, gap)
        assert snapshot.event == "snapshot", name


@WAYS
async def test_g3_any_bytes_at_all_as_a_cursor_are_answered_by_a_stream(world: World, open: Open) -> None:
    person = await Person.signed_up(world.address, world.client)
    chance = random.Random(5)
    for _ in range(15):
        text = "".join(chr(chance.randrange(33, 127)) for _ in range(chance.randrange(1, 120)))
        hello, gap, snapshot = await first_frames(person, open, text)
        assert (hello.event, gap.event, snapshot.event) == ("hello", "gap", "snapshot"), text


async def test_the_header_wins_over_the_query(world: World) -> None:
    person = await Person.signed_up(world.address, world.client)
    here = await known(person)
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
