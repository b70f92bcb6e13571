"""Many tabs, one stream: whoever holds it may go, freeze or sign out, and no tab loses anything."""

import httpx
from playwright.async_api import expect

from local.system import System
from tests.e2e.people import Person
from tests.e2e.visitors import Visitor, streams_of, until_streams


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
    assert len(await streams_of(program)) == 1

    await ann.page.close()
    await writer.post("mark 1")
    await second.sees_live()
    await writer.post("mark 2")

    await second.sees("mark 2", "mark 1", "mark 0")
    await third.sees("mark 2", "mark 1", "mark 0")
    await third.sees_live(other_tab=True)
    await has_streams(program, 1)


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
