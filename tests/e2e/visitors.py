"""People who use the page, each at a browser of their own, by what can be read on it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import uuid4

import httpx
from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright, expect

from tests import known
from tests.e2e.people import Person

PASSWORD = "a quiet long password"
WITHIN = 20_000  # ms; the machine may be busy, and a person would still call this live
_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The machine's own Chromium, without a window."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        raise RuntimeError("no Chromium on PATH: `make tools` installs it")
    expect.set_options(timeout=WITHIN)
    async with async_playwright() as playwright:
        # Chromium's sandbox refuses to run as root.
        browser = await playwright.chromium.launch(
            executable_path=executable, args=_FLAGS, chromium_sandbox=os.geteuid() != 0
        )
        try:
            yield browser
        finally:
            await browser.close()


class Visitor:
    """A person in one tab. `faults` holds every error that the page has thrown, and every breach of its own policy."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self.faults.extend([said.text] if "Content Security" in said.text else []))

    @classmethod
    async def arrived(cls, context: BrowserContext, address: str, name: str = "ann") -> Self:
        """Somebody new at the door."""
        visitor = cls(await context.new_page(), f"{name}-{uuid4().hex[:8]}")
        await visitor.page.goto(address)
        return visitor

    @classmethod
    async def signed_up(cls, context: BrowserContext, address: str, name: str = "ann") -> Self:
        """Somebody new, with an account, whose page is live."""
        visitor = await cls.arrived(context, address, name)
        await visitor.sign_up()
        return visitor

    async def another_tab(self) -> "Visitor":
        """The same person in one more tab of the same browser, live."""
        tab = Visitor(await self.page.context.new_page(), self.name)
        await tab.page.goto(self.page.url)
        await tab.sees_live(other_tab=True)
        return tab

    async def sign_up(self, then: str = "Live") -> None:
        """Returns when the page says that it is connected, in these words."""
        await self.page.get_by_role("button", name="Create account").click()
        await self.page.get_by_label("Username").fill(self.name)
        await self.page.get_by_label("Password", exact=False).first.fill(PASSWORD)
        await self.page.get_by_label("Password again").fill(PASSWORD)
        await self.page.get_by_role("form").get_by_role("button", name="Create account").click()
        await expect(self.connection).to_have_text(then, timeout=2 * WITHIN)  # WebSocket: after two tries without it
        await self._remember()

    async def sign_in(self) -> None:
        await self.page.get_by_label("Username").fill(self.name)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.get_by_role("form").get_by_role("button", name="Sign in").click()
        await self.sees_live()
        await self._remember()

    async def _remember(self) -> None:
        """The tokens that the browser was given, and the password."""
        cookies = await self.page.context.cookies()
        known.remember(PASSWORD, *(cookie["value"] for cookie in cookies))

    async def sign_out(self) -> None:
        await self.page.get_by_role("banner").get_by_role("button", name="Sign out").click()
        await self.sees_the_door()

    async def follow(self, name: str) -> None:
        await self.page.get_by_label("Search by name").fill(name)
        await self.everybody.get_by_role("button", name=f"Follow {name}", exact=True).click()
        await expect(self.people.get_by_text(name)).to_be_visible()

    async def unfollow(self, name: str) -> None:
        await self.page.get_by_role("button", name=f"Unfollow {name}").first.click()
        await expect(self.people.get_by_text(name)).to_have_count(0)

    async def write(self, text: str) -> None:
        """Sends a post on its way, wherever it gets."""
        await self.page.get_by_label("What is happening?").fill(text)
        await self.page.get_by_role("button", name="Post", exact=True).click()
        await expect(self.page.get_by_label("What is happening?")).to_have_value("")

    async def post(self, text: str) -> None:
        """Returns when the API has it."""
        await self.write(text)
        await expect(self.page.locator(".draft")).to_have_count(0)

    async def delete(self, text: str) -> None:
        """Takes back the post, at the second press."""
        await self.feed.filter(has_text=text).get_by_role("button", name="Delete").click()
        await self.feed.filter(has_text=text).get_by_role("button", name="Delete for good?").click()

    async def sees_live(self, *, other_tab: bool = False) -> None:
        await expect(self.connection).to_have_text("Live · via another tab" if other_tab else "Live")

    async def sees_the_door(self) -> None:
        await expect(self.page.get_by_role("form", name="Sign in")).to_be_visible()

    async def sees(self, *texts: str) -> None:
        """Exactly these posts that begin as the first one does, newest first."""
        mark = texts[0].split()[0]
        await expect(self.feed.locator(".text").filter(has_text=mark)).to_have_text(list(texts))

    async def lifecycle(self, event: str) -> None:
        """What the browser says before it freezes a page, and after: Chromium without a window freezes none."""
        await self.page.evaluate(f"document.dispatchEvent(new Event('{event}'))")

    @property
    def connection(self) -> Locator:
        return self.page.get_by_role("banner").get_by_role("status")

    @property
    def people(self) -> Locator:
        """Whom this person follows."""
        return self.page.get_by_role("list", name="You follow")

    @property
    def everybody(self) -> Locator:
        """Whom the search has found."""
        return self.page.get_by_role("list", name="Everybody")

    @property
    def feed(self) -> Locator:
        return self.page.get_by_role("list", name="Feed").get_by_role("listitem")

    @property
    def frames(self) -> Locator:
        return self.page.get_by_role("list", name="Console").get_by_role("listitem")

    @property
    def hellos(self) -> Locator:
        """One for each time a stream has begun."""
        return self.frames.filter(has=self.page.locator("[data-event=hello]"))

    async def node(self) -> str:
        """Which one the page's stream is on."""
        return await self.connection.get_attribute("title") or ""

    async def as_program(self, address: str, client: httpx.AsyncClient) -> Person:
        """The same person by the API, in a session of their own."""
        answer = await client.post(f"{address}/v1/auth/sign-in", json={"username": self.name, "password": PASSWORD})
        client.cookies.clear()
        token = answer.raise_for_status().json()
        known.remember(token["token"], token["refresh_token"])
        return Person(address, client, self.name, token["userId"], token["token"])


async def streams_of(person: Person) -> list[dict[str, Any]]:
    """The person's open streams, as their node explains them."""
    explained = (await person.call("GET", "/v1/stream/explain")).raise_for_status().json()
    streams: list[dict[str, Any]] = explained["streams"]
    return streams


async def until_streams(person: Person, so: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Waits until the person's open streams are so."""
    async with asyncio.timeout(WITHIN / 1000):
        while not so(await streams_of(person)):
            await asyncio.sleep(0.2)
