"""The feed client as it is built, against the real server: what its own tests say of a fake one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from local.system import System
from tests.e2e.conftest import MakePerson, NewContext
from tests.e2e.people import PASSWORD, Person

FRONTEND = Path(__file__).parents[2] / "frontend"
BUILT = FRONTEND / "feed" / "dist" / "feed.js"
OPEN = """async ({ user, token, cursor, tokenIn }) => {
    const { Feed } = await import("/feed-as-built.js");
    const told = { events: [], snapshots: [], gaps: [], states: [], frames: [] };
    told.feed = new Feed("/v1/stream", {
        ...(user && { user }), ...(cursor && { cursor }), ...(tokenIn && { tokenIn }),
        token: async () => token,
        onEvent: (event) => told.events.push(event.object.text ?? event.type),
        onSnapshot: ({ items }) => told.snapshots.push(items.map((event) => event.object.text ?? event.type)),
        onGap: ({ reason }) => told.gaps.push(reason),
        onState: (state) => told.states.push(state),
        onFrame: ({ event }) => told.frames.push(event),
    });
    window.told = told;
}"""


class Client:
    """A page with nothing on it but a feed."""

    def __init__(self, page: Page, person: Person) -> None:
        self.page, self.person = page, person

    async def open(self, **options: str) -> None:
        await self.page.evaluate(OPEN, {"token": self.person.token, **options})

    async def until(self, true: str) -> None:
        """Waits for an expression over what was told."""
        await self.page.wait_for_function(f"() => {{ const told = window.told; return {true}; }}")

    async def told(self, what: str) -> Any:
        return await self.page.evaluate(f"window.told.{what}")


@pytest.fixture
async def client_of(system: System, new_context: NewContext, person: MakePerson) -> Client:
    """Signed in by cookie, as a page is."""
    somebody = await person()
    context = await new_context()
    page = await context.new_page()
    await page.route("**/feed-as-built.js", lambda route: route.fulfill(path=BUILT, content_type="text/javascript"))
    await page.goto(f"{system.address}/icon.svg")
    body = {"username": somebody.username, "password": PASSWORD}
    # The cookie and the person's token are of one session.
    somebody.token = await page.evaluate(
        "async (body) => (await (await fetch('/v1/auth/sign-in',"
        " { method: 'POST', body: JSON.stringify(body) })).json()).token",
        body,
    )
    async with asyncio.timeout(20):  # what is not stored when a stream begins comes live
        while len((await somebody.call("GET", "/v1/feed")).json()["items"]) < 2:
            await asyncio.sleep(0.05)
    return Client(page, somebody)


async def test_a_snapshot_then_each_event_once_then_what_was_missed(client_of: Client) -> None:
    client = client_of
    await client.open(user="4")
    await client.until("told.states.at(-1)?.phase === 'live'")
    assert await client.told("snapshots") == [["login", "sign-up"]]
    await client.person.post("one")
    await client.until("told.events.length === 1")
    await client.told("feed.close()")
    for text in ("two", "three"):
        await client.person.post(text)

    await client.page.reload()
    await client.open(user="4")
    await client.until("told.events.length === 2")
    await client.until("told.states.at(-1)?.phase === 'live'")

    assert await client.told("events") == ["two", "three"]
    assert await client.told("snapshots") == []
    assert (await client.told("states.at(-1)"))["resumed"] is True
    phases = [state["phase"] for state in await client.told("states")]
    assert phases == ["connecting", "catching-up", "live"]


async def test_a_cursor_that_is_none_is_a_gap_and_then_a_snapshot(client_of: Client) -> None:
    await client_of.open(cursor="none of ours")
    await client_of.until("told.snapshots.length === 1")

    assert await client_of.told("gaps") == ["malformed"]
    assert (await client_of.told("frames"))[:3] == ["hello", "gap", "snapshot"]


async def test_a_session_that_ends_on_the_server_ends_the_feed(client_of: Client) -> None:
    await client_of.open()
    await client_of.until("told.states.at(-1)?.phase === 'live'")
    await client_of.person.sign_out()

    await client_of.until("told.states.at(-1)?.phase === 'ended'")
    assert (await client_of.told("states.at(-1)"))["reason"] == "signed-out"


async def test_without_cookies_the_token_travels_in_the_address(client_of: Client) -> None:
    await client_of.page.context.clear_cookies()
    await client_of.open(tokenIn="url")

    await client_of.until("told.states.at(-1)?.phase === 'live'")
    await client_of.person.post("heard")
    await client_of.until("told.events.at(-1) === 'heard'")


async def test_a_node_killed_under_an_open_feed_makes_it_hand_over_nothing_twice_and_leave_nothing_out(
    client_of: Client, system: System
) -> None:
    await client_of.open()
    await client_of.until("told.states.at(-1)?.phase === 'live'")
    node = await client_of.told("states.at(-1).node")

    try:
        for n in range(24):
            await client_of.person.post(f"mark {n}")
            if n == 7:
                await system.kill(node)
        await client_of.until("told.events.at(-1) === 'mark 23' && told.states.at(-1)?.phase === 'live'")
        await client_of.person.post("the end")
        await client_of.until("told.events.at(-1) === 'the end'")
    finally:
        await system.start(node)

    assert await client_of.told("events") == [*(f"mark {n}" for n in range(24)), "the end"]
    assert await client_of.told("frames.filter((event) => event === 'hello').length") >= 2


CONSUMER = """import { Feed, type FeedEvent, type State } from "@stickyfeed/feed";

const said = (event: FeedEvent): string => (event.type === "post" ? event.object.text : event.actor.username);
export const feed = new Feed("/v1/stream", {
  onEvent: (event) => console.log(said(event)),
  onState: (state: State) => console.log(state.phase === "waiting" ? state.ms : state.tab),
  token: async () => null,
});
// @ts-expect-error: a type that was any would take this too
feed.cursor = 7;
"""


@pytest.mark.parametrize("resolution", ["bundler", "nodenext"])
async def test_the_package_resolves_by_its_name_with_types_and_without_its_sources(
    tmp_path: Path, resolution: str
) -> None:
    package = tmp_path / "node_modules" / "@stickyfeed" / "feed"
    (package / "dist").mkdir(parents=True)
    for file in (FRONTEND / "feed" / "package.json", *(FRONTEND / "feed" / "dist").iterdir()):
        (package / file.relative_to(FRONTEND / "feed")).write_bytes(file.read_bytes())
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    (tmp_path / "mine.ts").write_text(CONSUMER)
    module = "nodenext" if resolution == "nodenext" else "esnext"
    tsc = await asyncio.create_subprocess_exec(
        *(str(FRONTEND / "node_modules" / ".bin" / "tsc"), "--strict", "--noEmit", "--target", "es2022"),
        *("--module", module, "--moduleResolution", resolution, "mine.ts"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await tsc.communicate()

    assert (tsc.returncode, said.decode()) == (0, "")
