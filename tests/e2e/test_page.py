"""Two persons in two browsers: what one does appears on the other's page by itself."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Protocol
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

PASSWORD = "a quiet long password"
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WITHIN = 15_000  # ms; the machine may be busy, and a person would still call this live


class System(Protocol):
    """A running system, from the outside."""

    @property
    def address(self) -> str: ...


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """The machine's own Chromium, without a window."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.fail("no Chromium on PATH: `make tools` installs it")
    expect.set_options(timeout=WITHIN)
    async with async_playwright() as playwright:
        # Chromium's sandbox refuses to run as root.
        browser = await playwright.chromium.launch(
            executable_path=executable, args=FLAGS, chromium_sandbox=os.geteuid() != 0
        )
        try:
            yield browser
        finally:
            await browser.close()


class Visitor:
    """A person at a browser of their own, who uses the page by what can be read on it."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    async def sign_up(self) -> None:
        await self.page.get_by_role("button", name="Create account").click()
        await self.page.get_by_label("Username").fill(self.name)
        await self.page.get_by_label("Password", exact=False).first.fill(PASSWORD)
        await self.page.get_by_label("Password again").fill(PASSWORD)
        await self.page.get_by_role("form").get_by_role("button", name="Create account").click()
        await self.sees_live()

    async def sign_in(self) -> None:
        await self.page.get_by_label("Username").fill(self.name)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.get_by_role("form").get_by_role("button", name="Sign in").click()
        await self.sees_live()

    async def sign_out(self) -> None:
        await self.page.get_by_role("button", name="Sign out").click()
        await expect(self.page.get_by_role("form", name="Sign in")).to_be_visible()

    async def follow(self, name: str) -> None:
        await self.page.get_by_label("Search by name").fill(name)
        await self.page.get_by_role("button", name=f"Follow {name}", exact=True).click()
        await expect(self.people.get_by_text(name)).to_be_visible()

    async def unfollow(self, name: str) -> None:
        await self.page.get_by_role("button", name=f"Unfollow {name}", exact=True).first.click()
        await expect(self.people.get_by_text(name)).to_have_count(0)

    async def post(self, text: str) -> None:
        await self.page.get_by_label("What is happening?").fill(text)
        await self.page.get_by_role("button", name="Post", exact=True).click()
        await expect(self.page.get_by_label("What is happening?")).to_have_value("")

    async def sees_live(self) -> None:
        await expect(self.page.get_by_role("banner").get_by_role("status")).to_have_text("Live")

    @property
    def people(self) -> Locator:
        """Whom this person follows."""
        return self.page.get_by_role("list", name="You follow")

    @property
    def feed(self) -> Locator:
        return self.page.get_by_role("list", name="Feed").get_by_role("listitem")

    @property
    def frames(self) -> Locator:
        return self.page.get_by_role("list", name="Console").get_by_role("listitem")


@pytest.fixture
async def visitors(system: System, browser: Browser) -> AsyncIterator[tuple[Visitor, Visitor]]:
    """Ann and Bob, registered through the page."""
    async with AsyncExitStack() as stack:
        both: list[Visitor] = []
        for name in ("ann", "bob"):
            context = await browser.new_context(viewport={"width": 1400, "height": 900})
            stack.push_async_callback(context.close)
            visitor = Visitor(await context.new_page(), f"{name}-{uuid4().hex[:8]}")
            await visitor.page.goto(system.address)
            await visitor.sign_up()
            both.append(visitor)
        ann, bob = both
        yield ann, bob
        assert ann.faults == bob.faults == []


async def test_what_one_person_does_appears_live_on_a_followers_page(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    await ann.follow(bob.name)
    await bob.sign_out()
    await expect(ann.feed.filter(has_text=f"{bob.name} signed out")).to_have_count(1)

    await bob.sign_in()
    await expect(ann.feed.first).to_contain_text(f"{bob.name} signed in")
    await bob.follow("janitor")
    await expect(ann.feed.first).to_contain_text(f"{bob.name} now follows")
    await expect(ann.feed.first).to_contain_text("janitor")
    await bob.post("Hello from Bob,\non two lines")
    await expect(ann.feed.first).to_contain_text("on two lines")
    await bob.sign_out()
    await expect(ann.feed.first).to_contain_text(f"{bob.name} signed out")

    shown = await ann.feed.all_inner_texts()
    told = [text.replace("\n", " ") for text in shown if bob.name in text][:5]
    marks = ["signed out", "on two lines", "now follows", "signed in", "signed out"]
    assert [mark in text for mark, text in zip(marks, told, strict=True)] == [True] * 5, told


async def test_the_console_shows_every_frame_as_it_came(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    await ann.follow(bob.name)
    text = f"frame {uuid4().hex}"

    await bob.post(text)

    line = ann.frames.filter(has_text=text)
    await expect(line).to_have_count(1)
    await expect(line).to_contain_text("id: ")
    event = json.loads(await line.locator(".raw").inner_text())
    assert (event["type"], event["actor"]["username"], event["object"]["text"]) == ("post", bob.name, text)
    await expect(ann.frames.filter(has_text="hello").last).to_contain_text('"node"')
    await ann.page.get_by_role("button", name="Clear").click()
    await expect(line).to_have_count(0)


async def test_markup_in_a_post_stays_text(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    await ann.follow(bob.name)
    text = "<script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"

    await bob.post(text)

    await expect(ann.feed.first.locator(".text")).to_have_text(text)
    await expect(ann.frames.filter(has_text="onerror")).to_have_count(1)
    for visitor in visitors:
        assert await visitor.page.evaluate("window.broken") is None
        await expect(visitor.page.locator("main script, main img")).to_have_count(0)


async def test_a_deleted_post_leaves_every_page(visitors: tuple[Visitor, Visitor]) -> None:
    ann, bob = visitors
    await ann.follow(bob.name)
    await bob.post("soon gone")
    mine, theirs = bob.feed.filter(has_text="soon gone"), ann.feed.filter(has_text="soon gone")
    await expect(theirs).to_have_count(1)
    await expect(theirs.get_by_role("button", name="Delete")).to_have_count(0)

    await mine.get_by_role("button", name="Delete").click()

    await expect(mine).to_have_count(0)
    await expect(theirs).to_have_count(0)


async def test_following_brings_the_past_into_the_feed_and_unfollowing_takes_it_out(
    visitors: tuple[Visitor, Visitor],
) -> None:
    ann, bob = visitors
    await bob.post("written before Ann came")

    await ann.follow(bob.name)
    await expect(ann.feed.filter(has_text="written before Ann came")).to_have_count(1)
    await ann.unfollow(bob.name)

    await expect(ann.feed.filter(has_text="written before Ann came")).to_have_count(0)


async def test_a_reload_keeps_the_person_signed_in(visitors: tuple[Visitor, Visitor]) -> None:
    ann, _ = visitors

    await ann.page.reload()

    await ann.sees_live()
    await expect(ann.page.get_by_role("banner")).to_contain_text(ann.name)
