"""Reading further down: whatever comes, is followed or was missed meanwhile, nothing moves and nothing that was loaded is lost."""

import asyncio
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Route, expect

from tests.e2e.conftest import MakePerson
from tests.e2e.people import Person
from tests.e2e.visitors import WITHIN, Visitor

PHONE = {"width": 390, "height": 844}
_LINE = 8  # px: less than one of text


@pytest.fixture
async def reader(ann: Visitor, writer: Person) -> Visitor:
    """Ann, who has the newest page of 60 long posts."""
    program = await ann.as_program(writer.address, writer.client)
    await ann.follow(writer.username)
    for n in range(60):
        await writer.post(f"old {n} " + "line\n" * 3)
    await expect(ann.feed.filter(has_text="old 59")).to_have_count(1)
    async with asyncio.timeout(
        WITHIN / 1000
    ):  # what is not stored by then comes live, to a page that began with older ones
        while "old 59" not in (await program.call("GET", "/v1/feed?limit=1")).text:
            await asyncio.sleep(0.1)
    await ann.page.reload()
    await ann.sees_live()
    await expect(ann.feed.filter(has_text="old 59")).to_have_count(1)
    await expect(ann.feed.filter(has_text="old 0 ")).to_have_count(0)
    return ann


async def goes_down(reader: Visitor) -> Locator:
    """Loads it all, and stops at a post in the middle."""
    await reader.feed.last.scroll_into_view_if_needed()
    await expect(reader.feed.filter(has_text="old 0 ")).to_have_count(1)
    anchor = reader.feed.filter(has_text="old 30")
    await anchor.evaluate("entry => entry.scrollIntoView({block: 'center'})")
    return anchor


async def y(entry: Locator) -> int:
    """Where it stands in the window."""
    place: int = await entry.evaluate("entry => Math.round(entry.getBoundingClientRect().y)")
    return place


async def test_what_is_new_waits_above_and_older_ones_come_by_scrolling(reader: Visitor, writer: Person) -> None:
    anchor = await goes_down(reader)
    before = await y(anchor)

    for n in range(3):
        await writer.post(f"new {n}")
    await expect(reader.page.get_by_role("button", name="3 new")).to_be_visible()
    await expect(reader.page).to_have_title("(3) stickyfeed")
    assert await y(anchor) == before
    await expect(reader.feed.filter(has_text="new 0")).to_have_count(0)
    await reader.page.get_by_role("button", name="3 new").click()

    await reader.sees("new 2", "new 1", "new 0")
    await expect(reader.feed.first).to_be_in_viewport()
    await expect(reader.feed.first).to_be_focused()


async def test_following_somebody_moves_nothing_and_their_past_waits(reader: Visitor, person: MakePerson) -> None:
    other = await person()
    for n in range(3):
        await other.post(f"past {n}")
    anchor = await goes_down(reader)
    before, loaded = await y(anchor), await reader.feed.count()

    await reader.follow(other.username)
    # The follow itself, the three, and that the other joined.
    await expect(reader.page.get_by_role("button", name="5 new")).to_be_visible()
    assert (await y(anchor), await reader.feed.count()) == (before, loaded)
    await expect(reader.feed.filter(has_text="old 0 ")).to_have_count(1)
    await reader.page.get_by_role("button", name="5 new").click()

    await reader.sees("past 2", "past 1", "past 0")
    await expect(reader.feed.filter(has_text="old 0 ")).to_have_count(1)


@pytest.mark.parametrize(("missed", "said"), [(0, "Updated"), (2, "2 new")])
async def test_a_gaps_list_waits_too(reader: Visitor, writer: Person, missed: int, said: str) -> None:
    """The stream comes back with a cursor that no server knows."""
    anchor = await goes_down(reader)
    before = await y(anchor)

    async def forget(route: Route) -> None:
        await route.continue_(url=f"{urlsplit(route.request.url)._replace(query='cursor=AAAA').geturl()}")

    await reader.page.route("**/v1/stream?*", forget)
    await reader.page.context.set_offline(True)
    await expect(reader.connection).to_have_text("Offline")
    for n in range(missed):
        await writer.post(f"missed {n}")
    await reader.page.context.set_offline(False)

    await expect(reader.page.get_by_text("The complete list waits at the top.")).to_be_visible()
    assert await y(anchor) == before
    await reader.page.get_by_role("button", name=said).click()
    await expect(reader.page.get_by_text("The list was read anew and is complete.")).to_be_visible()
    await expect(reader.feed.first).to_be_in_viewport()
    await expect(reader.feed.filter(has_text="missed")).to_have_count(missed)
    await expect(reader.feed.filter(has_text="old 59")).to_have_count(1)


async def test_on_a_phone_each_place_is_found_again_where_it_was_left(reader: Visitor, writer: Person) -> None:
    await reader.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    anchor = await goes_down(reader)
    before = await y(anchor)
    places = reader.page.get_by_role("navigation")

    await places.get_by_role("button", name="Console").click()
    await expect(reader.frames.first).to_be_visible()
    await writer.post("new 0")
    await expect(reader.frames.filter(has_text="new 0")).to_have_count(1)
    await reader.page.evaluate("scrollTo(0, 1e6)")
    await places.get_by_role("button", name="Feed").click()

    await expect(reader.page.get_by_role("button", name="1 new")).to_be_visible()
    assert abs(await y(anchor) - before) <= _LINE, "the ages of what stands above may break otherwise by now"
