"""Takes the pictures of README and docs from the running system: `python docs/pictures.py [address]` after `make up`.

A few people act while another one looks; her page is taken in both themes, with its console, a profile, and on a phone.
What happened before she looks is told with times set back on its way to her browser, as if the story had taken a day.
"""

import asyncio
import sys
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from playwright.async_api import Browser, Page, Route, expect

from tests.e2e.people import PASSWORD, Person
from tests.e2e.visitors import Visitor, chromium

HERE = Path(__file__).parent
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 780}
SHARP = 2  # pixels of the picture for each of the page
# Who wrote what, how many minutes ago; newest last.
STORY = (
    ("jonas", "Night train to Trieste, window seat.", 26 * 60),
    ("mira", "First coffee on the new balcony.", 21 * 60),
    ("petra", "Does anybody have a tent for four? It is for the lake.", 13 * 60),
    ("jonas", "Trieste smells of rain and espresso.", 9 * 60),
    ("mira", "The swifts are back. Counted eleven over the church tower.", 3 * 60),
    ("olga", "Bread number 39 was a brick. A good brick, though.", 47),
    ("petra", "Tent found, thank you all!", 12),
)
LIVE = (
    ("olga", "Bread number 40: finally the crust I wanted.\nSecret: a lid for the first twenty minutes, and patience."),
    ("mira", "Twelve! There are twelve swifts!"),
)
FRESH = (("jonas", "Home again."), ("petra", "Who brings the guitar on Sunday?"), ("olga", "I bring bread."))
OF_PEOPLE = 28 * 60  # minutes; when they joined, and were followed


async def main(address: str) -> None:
    async with httpx.AsyncClient(timeout=20) as client, chromium() as browser:
        # On a system that somebody has used, names may be taken; `make reset` makes the prettier pictures.
        stranger = await acting(client, address, f"x-{uuid4().hex[:8]}")
        everybody = (await stranger.call("GET", "/v1/users")).json()
        await stranger.call("DELETE", "/v1/me", json={"password": PASSWORD})
        names = {name for name, *_ in STORY}
        mark = f"-{uuid4().hex[:3]}" if any(one["username"] in {"anna", *names} for one in everybody["items"]) else ""
        people = {name: await acting(client, address, f"{name}{mark}") for name in sorted(names)}
        anna = await looking(browser, address, f"anna{mark}")
        for somebody in people.values():
            await anna.follow(somebody.username)
        for name, text, _ in STORY:
            await people[name].post(text)
        await expect(anna.feed.filter(has_text=STORY[-1][1])).to_be_visible()
        await anna.page.route("**/v1/feed?*", told_later)
        await anna.page.route("**/v1/users/*/posts?*", told_later)
        await anna.page.reload()
        await anna.sees_live()
        for name, text in LIVE:
            await people[name].post(text)
        await anna.post("Hello everybody! Who is at the lake on Sunday?")
        await people["petra"].follow(people["olga"].id)
        await expect(anna.feed.filter(has_text="now follows")).not_to_have_count(0)
        await take(anna.page, people)
        await anna.page.context.close()


async def told_later(route: Route) -> None:
    """An answer with events or posts, each set back to its time in the story; what is live keeps its own."""
    answer = await route.fetch()
    body = await answer.json()
    ago = {text: minutes for _, text, minutes in STORY}
    now = {text for _, text in LIVE} | {text for _, text in FRESH}
    for one in body["items"]:
        text = one.get("object", {}).get("text") if isinstance(one.get("object"), dict) else one["text"]
        minutes = ago.get(text, 0 if text in now else OF_PEOPLE)
        one["at"] = (datetime.fromisoformat(one["at"]) - timedelta(minutes=minutes)).isoformat()
    await route.fulfill(response=answer, json=body)


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


async def take(page: Page, people: dict[str, Person]) -> None:
    console = page.get_by_role("button", name="Console")
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await page.set_viewport_size(DESK)  # type: ignore[arg-type]
        await page.locator(".console summary").filter(has_text="twelve swifts").click()
        await picture(page, f"console-{theme}")
        await console.first.click()
        await picture(page, f"dashboard-{theme}")
        await page.get_by_role("list", name="Feed").get_by_role("button", name=people["olga"].username).first.click()
        await expect(page.get_by_role("dialog").get_by_text("number 39")).to_be_visible()
        await picture(page, f"profile-{theme}")
        await page.keyboard.press("Escape")
        await console.first.click()
        await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        await picture(page, f"phone-{theme}")
    await page.emulate_media(color_scheme="light")
    await page.evaluate("scrollTo(0, 380)")
    for name, text in FRESH:
        await people[name].post(text)
    await expect(page.get_by_role("button", name="3 new")).to_be_visible()
    await picture(page, "fresh-light", top=False)


async def picture(page: Page, name: str, *, top: bool = True) -> None:
    if top:
        await page.evaluate("scrollTo(0, 0)")
    await page.evaluate("document.activeElement.blur()")
    await page.mouse.move(0, 0)
    await asyncio.sleep(0.5)  # seconds for everything that moves
    await page.screenshot(path=HERE / f"{name}.png", scale="device")
    print(f"wrote docs/{name}.png")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8080"))
