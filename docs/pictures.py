"""Takes README's picture from the running system: `python docs/pictures.py` after `make up`."""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from uuid import uuid4

import httpx
from playwright.async_api import async_playwright

ADDRESS = "http://localhost:8080"
PASSWORD = "a quiet long password"
OUT = Path(__file__).parent / "dashboard.png"
STORY = {
    "mira": ["First coffee on the new balcony.", "The swifts are back. Counted eleven over the church tower."],
    "jonas": ["Night train to Trieste, window seat.", "Trieste smells of rain and espresso."],
    "olga": ["Bread number 40: finally the crust I wanted."],
}


async def main() -> None:
    """Three people act while a fourth one looks."""
    executable = shutil.which("chromium") or sys.exit("no Chromium on PATH: `make tools` installs it")
    mark = uuid4().hex[:3]
    async with httpx.AsyncClient(base_url=ADDRESS) as client, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=["--disable-gpu"], chromium_sandbox=os.geteuid() != 0
        )
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(ADDRESS)
        await page.get_by_role("button", name="Create account").click()
        await page.get_by_label("Username").fill(f"anna-{mark}")
        await page.get_by_label("Password", exact=False).first.fill(PASSWORD)
        await page.get_by_label("Password again").fill(PASSWORD)
        await page.get_by_role("form").get_by_role("button", name="Create account").click()
        await page.get_by_label("What is happening?").wait_for()
        for name, posts in STORY.items():
            body = {"username": f"{name}-{mark}", "password": PASSWORD, "passwordConfirm": PASSWORD}
            token = (await client.post("/v1/auth/sign-up", json=body)).raise_for_status().json()["token"]
            client.cookies.clear()
            await page.get_by_label("Search by name").fill(f"{name}-{mark}")
            await page.get_by_role("button", name=f"Follow {name}-{mark}", exact=True).click()
            await asyncio.sleep(0.5)
            for text in posts:
                headers = {"Authorization": f"Bearer {token}"}
                (await client.post("/v1/posts", json={"text": text}, headers=headers)).raise_for_status()
                await asyncio.sleep(0.3)
        await page.get_by_label("Search by name").fill("")
        await asyncio.sleep(2)
        await page.screenshot(path=OUT)
        await browser.close()
    print(f"wrote {OUT}")


if __name__ == "__main__":
    asyncio.run(main())
