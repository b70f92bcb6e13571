"""Takes the pictures of README and docs from the running system: `python docs/pictures.py [address]` after `make up`.

A few people act while another one looks; her page is taken in both themes, with its console, and on a phone.
"""

import asyncio
import sys
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from playwright.async_api import Browser, Page, expect

from tests.e2e.people import PASSWORD, Person
from tests.e2e.visitors import Visitor, chromium

HERE = Path(__file__).parent
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 780}
SHARP = 2  # pixels of the picture for each of the page, on a phone
STORY = {
    "mira": ["First coffee on the new balcony.", "The swifts are back. Counted eleven over the church tower."],
    "jonas": ["Night train to Trieste, window seat.", "Trieste smells of rain and espresso."],
    "olga": ["Bread number 40: finally the crust I wanted.\nSecret: a lid for the first twenty minutes, and patience."],
}


async def main(address: str) -> None:
    async with httpx.AsyncClient(timeout=20) as client, chromium() as browser:
        # On a system that somebody has used, names may be taken; `make reset` makes the prettier pictures.
        stranger = await acting(client, address, f"x-{uuid4().hex[:8]}")
        everybody = (await stranger.call("GET", "/v1/users")).json()
        await stranger.call("DELETE", "/v1/me", json={"password": PASSWORD})
        mark = f"-{uuid4().hex[:3]}" if any(one["username"] in {"anna", *STORY} for one in everybody["items"]) else ""
        anna = await looking(browser, address, f"anna{mark}")
        for name, posts in STORY.items():
            somebody = await acting(client, address, f"{name}{mark}")
            await anna.follow(somebody.username)
            for text in posts:
                await somebody.post(text)
                await asyncio.sleep(1)  # so that a look at the times shows a story
        await anna.post("Hello everybody! Who is at the lake on Sunday?")
        await anna.page.get_by_label("Search by name").fill("")
        await expect(anna.feed.filter(has_text="Bread number 40")).to_be_visible()
        await anna.page.get_by_label("What is happening?").focus()
        await take(anna.page)
        await anna.page.context.close()


async def looking(browser: Browser, address: str, name: str) -> Visitor:
    context = await browser.new_context(viewport=DESK, device_scale_factor=SHARP)  # type: ignore[arg-type]
    visitor = Visitor(await context.new_page(), name)
    await visitor.page.goto(address)
    await visitor.sign_up()
    return visitor


async def acting(client: httpx.AsyncClient, address: str, name: str) -> Person:
    body = {"username": name, "password": PASSWORD, "passwordConfirm": PASSWORD}
    token = (await client.post(f"{address}/v1/auth/sign-up", json=body)).raise_for_status().json()
    client.cookies.clear()
    return Person(address, client, name, token["userId"], token["token"])


async def take(page: Page) -> None:
    console = page.get_by_role("button", name="Console")
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await page.set_viewport_size(DESK)  # type: ignore[arg-type]
        await picture(page, f"console-{theme}")
        await console.first.click()
        await picture(page, f"dashboard-{theme}")
        await console.first.click()
        await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        await picture(page, f"phone-{theme}")


async def picture(page: Page, name: str) -> None:
    await page.evaluate("scrollTo(0, 0)")
    await asyncio.sleep(0.5)  # seconds for everything that moves
    await page.screenshot(path=HERE / f"{name}.png", scale="device" if name.startswith("phone") else "css")
    print(f"wrote docs/{name}.png")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8080"))
