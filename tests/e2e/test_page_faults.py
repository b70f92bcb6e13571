"""What goes wrong while a page is open: its list has no hole and no repeat, and its owner need do nothing."""

import asyncio
import base64
import json
from pathlib import Path

import httpx
from playwright.async_api import Route, expect

from local.system import System
from store.tokens import Signer
from tests.e2e.buffering import buffering_proxy, stalling_proxy
from tests.e2e.conftest import NewContext
from tests.e2e.people import Person
from tests.e2e.visitors import Visitor, streams_of, until_streams

ACCESS = "sf_access"


async def give_token(visitor: Visitor, system: System, life: int) -> None:
    """A token of the same session in the browser's cookie, as good as any but for its life in seconds."""
    (cookie,) = [cookie for cookie in await visitor.page.context.cookies() if cookie.get("name") == ACCESS]
    payload = cookie.get("value", "").split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    env = system.env
    signer = Signer(Path(env["TOKEN_SIGNING_KEY"]), env["TOKEN_ISSUER"], env["TOKEN_AUDIENCE"], life)
    token, _ = signer.sign(claims["uid"], claims["sid"])
    await visitor.page.context.add_cookies(
        [{"name": ACCESS, "value": token, "domain": "localhost", "path": "/v1/", "httpOnly": True, "sameSite": "Lax"}]
    )


async def reopen(visitor: Visitor) -> None:
    """The network goes and comes."""
    await visitor.page.context.set_offline(True)
    await expect(visitor.connection).to_have_text("Offline")
    await visitor.page.context.set_offline(False)
    await visitor.sees_live()


async def test_a_node_killed_under_an_open_page_leaves_no_hole_and_no_repeat(
    ann: Visitor, writer: Person, system: System
) -> None:
    await ann.follow(writer.username)
    node = await ann.node()

    for n in range(24):
        await writer.post(f"mark {n}")
        if n == 7:
            await ann.sees(*(f"mark {m}" for m in range(7, -1, -1)))
            await system.kill(node)

    await ann.sees(*(f"mark {n}" for n in range(23, -1, -1)))
    await ann.sees_live()
    await system.start(node)


async def test_a_page_whose_laptop_slept_has_it_all_within_seconds(
    writer: Person, system: System, new_context: NewContext
) -> None:
    """The clock jumps, and the stream is a dead one that looks alive: the browser says nothing about it, ever."""
    async with stalling_proxy(system.address) as proxy:
        context = await new_context()
        await context.clock.install()
        ann = await Visitor.signed_up(context, proxy.address)
        await ann.follow(writer.username)
        await writer.post("mark 0")
        await ann.sees("mark 0")
        proxy.stall()
        for n in (1, 2):
            await writer.post(f"mark {n}")
        await expect(ann.hellos).to_have_count(1)

        await context.clock.fast_forward("08:00:00")

        await ann.sees("mark 2", "mark 1", "mark 0")  # far sooner than the 37 s of silence that a waking page waits for
        await expect(ann.hellos).to_have_count(2)
        await ann.sees_live()
        assert ann.faults == []


async def test_a_frozen_page_that_wakes_has_it_all(
    ann: Visitor, writer: Person, system: System, client: httpx.AsyncClient
) -> None:
    await ann.follow(writer.username)
    program = await ann.as_program(system.address, client)
    await ann.lifecycle("freeze")

    await until_streams(program, lambda streams: streams == [])
    for n in range(3):
        await writer.post(f"mark {n}")
    await ann.lifecycle("resume")

    await ann.sees("mark 2", "mark 1", "mark 0")
    await ann.sees_live()


async def test_offline_is_said_and_what_was_missed_comes_when_the_network_does(ann: Visitor, writer: Person) -> None:
    await ann.follow(writer.username)
    await ann.page.context.set_offline(True)
    await expect(ann.connection).to_have_text("Offline")
    for n in range(3):
        await writer.post(f"mark {n}")
    await ann.write("written without a network")
    await expect(ann.page.get_by_text("Not sent yet.")).to_be_visible()
    await ann.page.context.set_offline(False)

    await ann.sees("mark 2", "mark 1", "mark 0")
    await ann.sees("written without a network")
    await expect(ann.page.locator(".draft")).to_have_count(0)
    await ann.sees_live()


async def test_where_a_proxy_holds_event_streams_back_the_page_goes_on_over_websocket(
    writer: Person, system: System, client: httpx.AsyncClient, new_context: NewContext
) -> None:
    async with buffering_proxy(system.address) as address:
        ann = await Visitor.arrived(await new_context(), address)
        await ann.sign_up("Live over WebSocket")
        await ann.follow(writer.username)
        await writer.post("mark 0")

        await ann.sees("mark 0")
        (stream,) = await streams_of(await ann.as_program(system.address, client))
        assert "ws" in stream["door"] or "websocket" in stream["door"]
        assert ann.faults == []


async def test_a_token_that_runs_out_while_the_page_is_open_is_renewed_and_nothing_is_seen_of_it(
    ann: Visitor, system: System, client: httpx.AsyncClient
) -> None:
    program = await ann.as_program(system.address, client)
    await give_token(ann, system, life=65)
    await reopen(ann)
    hellos = await ann.hellos.count()
    await ann.page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => window.seen.push(
            document.querySelector('.connection').textContent.trim())).observe(
            document.querySelector('.connection'), {characterData: true, childList: true, subtree: true}) }"""
    )
    (stream,) = await streams_of(program)
    assert stream["token_expires_in"] <= 65

    await until_streams(program, lambda streams: [one["token_expires_in"] > 3000 for one in streams] == [True])
    await expect(ann.frames.filter(has_text="expiring")).to_have_count(1)
    assert await ann.hellos.count() == hellos
    assert set(await ann.page.evaluate("window.seen")) <= {"Live"}


async def test_a_stream_refused_for_its_token_comes_back_with_a_new_one(ann: Visitor, system: System) -> None:
    await give_token(ann, system, life=1)
    await asyncio.sleep(2)  # a token has no shorter life than a second

    await reopen(ann)
    await ann.post("mark 0")

    await ann.sees("mark 0")


async def test_a_gap_is_shown_and_the_list_is_whole(ann: Visitor, writer: Person) -> None:
    """The list is lost and its cursor spoiled on the way, so that all there is comes with the gap's snapshot."""
    await ann.follow(writer.username)
    await writer.post("mark 0")
    await ann.sees("mark 0")

    async def spoil(route: Route) -> None:
        await route.fulfill(json={"items": [], "next": None, "cursor": "AAAA"})

    await ann.page.route("**/v1/feed?*", spoil)
    await ann.page.reload()

    await expect(ann.page.get_by_text("Something was missed")).to_be_visible()
    await ann.sees("mark 0")
    await ann.sees_live()
    await writer.post("mark 1")
    await ann.sees("mark 1", "mark 0")
