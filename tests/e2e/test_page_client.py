"""The feed client as it is built, against the real server: what its own tests say of a fake one."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from local.system import System
from tests.e2e.conftest import MakePerson, NewContext
from tests.e2e.people import PASSWORD, Person

BUILT = Path(__file__).parents[2] / "frontend" / "feed" / "dist" / "feed.js"
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
