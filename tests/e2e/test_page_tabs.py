"""Many tabs, one stream: whoever holds it may go, freeze or sign out, and no tab loses anything."""

import asyncio

import httpx
import pytest
from playwright.async_api import Route, expect

from local.system import System
from tests.e2e.buffering import stalling_proxy
from tests.e2e.conftest import NewContext
from tests.e2e.people import Person, listening
from tests.e2e.visitors import Visitor, until_streams


async def has_streams(person: Person, count: int) -> None:
    await until_streams(person, lambda streams: len(streams) == count)


async def test_three_tabs_make_one_stream_and_closing_the_one_that_holds_it_loses_nothing(
    ann: Visitor, writer: Person, system: System, client: httpx.AsyncClient
) -> None:
    await ann.follow(writer.username)
    second, third = await ann.another_tab(), await ann.another_tab()
    program = await ann.as_program(system.address, client)
    await writer.post("mark 0")
    for tab in (ann, second, third):
        await tab.sees("mark 0")
    await has_streams(program, 1)

    await ann.page.close()
    await writer.post("mark 1")
    await second.sees_live()
    await writer.post("mark 2")

    await second.sees("mark 2", "mark 1", "mark 0")
    await third.sees("mark 2", "mark 1", "mark 0")
    await third.sees_live(other_tab=True)
    await has_streams(program, 1)


async def test_a_tab_whose_list_is_older_than_the_stream_that_another_holds_lacks_nothing(
    ann: Visitor, writer: Person, system: System, client: httpx.AsyncClient
) -> None:
    """Both are restored at once: what happens between their two lists is in that of the one that leads, and not in its stream."""
    await ann.follow(writer.username)
    program = await ann.as_program(system.address, client)
    context, address = ann.page.context, ann.page.url
    await ann.page.goto("about:blank")
    await has_streams(program, 0)
    slower = Visitor(await context.new_page(), ann.name)
    read, goes_on = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        read.set()
        await goes_on.wait()
        await route.fulfill(response=answer)

    await slower.page.route("**/v1/feed?*", hold, times=1)
    await slower.page.goto(address)
    await asyncio.wait_for(read.wait(), 20)
    async with listening(program) as stream:
        await writer.post("mark between")
        await stream.until("post")
    await has_streams(program, 0)

    async def from_after_it(route: Route) -> None:
        """A list is mostly a little newer than its cursor, so that the stream would tell of it once more."""
        answer = await route.fetch()
        while "mark between" not in await answer.text():
            await asyncio.sleep(0.1)
            answer = await route.fetch()
        await route.fulfill(response=answer, json={**(await answer.json()), "cursor": stream.cursor})

    await ann.page.route("**/v1/feed?*", from_after_it, times=1)
    await ann.page.goto(address)
    await ann.sees_live()
    goes_on.set()

    await slower.sees("mark between")
    await slower.sees_live(other_tab=True)
    await has_streams(program, 1)
    await writer.post("mark after")
    for tab in (ann, slower):
        await tab.sees("mark after", "mark between")
    assert slower.faults == []


async def test_a_tab_that_is_frozen_gives_the_stream_away_and_misses_nothing_when_it_wakes(
    ann: Visitor, writer: Person, system: System, client: httpx.AsyncClient
) -> None:
    await ann.follow(writer.username)
    second = await ann.another_tab()
    program = await ann.as_program(system.address, client)
    await writer.post("mark 0")
    await ann.sees("mark 0")
    await ann.lifecycle("freeze")
    await second.sees_live()
    await writer.post("mark 1")
    await second.sees("mark 1", "mark 0")
    await ann.lifecycle("resume")

    await ann.sees("mark 1", "mark 0")
    await ann.sees_live(other_tab=True)
    await has_streams(program, 1)


async def test_signing_out_in_one_tab_ends_all(ann: Visitor, system: System, client: httpx.AsyncClient) -> None:
    second, third = await ann.another_tab(), await ann.another_tab()
    program = await ann.as_program(system.address, client)

    await second.sign_out()

    for tab in (ann, third):
        await tab.sees_the_door()
    await has_streams(program, 0)
    await third.page.reload()
    await expect(third.page.get_by_role("form", name="Sign in")).to_be_visible()


async def test_a_sign_out_ends_all_tabs_though_the_stream_says_nothing_and_leaves_nothing_behind(
    system: System, new_context: NewContext
) -> None:
    kept = "Object.keys(localStorage).filter((name) => name.startsWith('feed cursor')).length"
    async with stalling_proxy(system.address) as proxy:
        first = await Visitor.signed_up(await new_context(), proxy.address)
        second, third = await first.another_tab(), await first.another_tab()
        await first.post("so that there is a cursor")
        await first.page.evaluate("window.dispatchEvent(new Event('pagehide'))")
        assert await first.page.evaluate(kept) == 1
        proxy.stall()

        await second.sign_out()

        for tab in (first, third):
            await tab.sees_the_door()
        assert await second.page.evaluate(kept) == 0


@pytest.mark.parametrize("seen_by", ["its next call", "its next stream"])
async def test_a_page_whose_browser_somebody_else_has_signed_in_to_becomes_theirs_and_posts_nothing_as_them(
    system: System, new_context: NewContext, writer: Person, seen_by: str
) -> None:
    """Both were at the door; the cookies are of whoever came in last."""
    context = await new_context()
    ann, bob = [await Visitor.arrived(context, system.address, name) for name in ("ann", "bob")]
    await ann.sign_up()
    await bob.sign_up()
    await bob.follow(writer.username)
    await expect(ann.page.get_by_role("banner")).to_contain_text(ann.name)

    async def refuse(route: Route) -> None:
        await route.fulfill(status=401, json={"error": "token-expired"})

    if seen_by == "its next call":
        await ann.page.route("**/v1/posts", refuse, times=1)
        await ann.page.get_by_label("What is happening?").fill("mark by ann")
        await ann.page.get_by_role("button", name="Post", exact=True).click()
    else:
        await context.set_offline(True)
        await expect(ann.connection).to_have_text("Offline")
        await ann.write("mark by ann")
        await context.set_offline(False)

    await expect(ann.page.get_by_role("banner")).to_contain_text(bob.name)
    await writer.post("mark for bob")
    for page in (ann, bob):
        await page.sees("mark for bob")
        await expect(page.page.locator(".draft")).to_have_count(0)
        assert page.faults == []
