"""Each view, for everybody: in both themes and languages, by keyboard, on a phone, and whatever others call themselves."""

import json
from pathlib import Path
from typing import Any

import aiomysql
import httpx
import pytest
from playwright.async_api import Page, expect

from api.settings import Dsn
from local.system import System
from tests.e2e.conftest import MakePerson, NewContext
from tests.e2e.people import Person
from tests.e2e.visitors import Visitor

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1400, "height": 900}
NAMES = [
    "<img src=x onerror=broken=1>",
    "<svg/onload=broken=2>",
    "</script><script>broken=3//",
    "\"'><i onclick=broken=4>",
    "{broken=5}${broken=5}",
]
TEXTS = [
    "<script>window.broken = 1</script><img src=x onerror='window.broken = 2'>",
    "<iframe srcdoc='<script>parent.broken=1</script>'></iframe>",
    '<a href="javascript:window.broken=1" autofocus onfocus="window.broken=1">x</a>',
    "<style>@import'//evil.example'</style><math><mtext><option><style></option></mtext>",
    "<!--><svg onload=window.broken=1>--></textarea></title>",
    "{@html broken} {{constructor.constructor('broken=1')()}} ${broken=1}",
    "\u202egnp.exe\u202c \u2028\u2029 &lt;b&gt; &amp;amp; \ufeff",
]


async def serious(page: Page) -> list[str]:
    """What axe finds wrong that keeps somebody out: the rule, and where."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text() + "; undefined")
    found: list[dict[str, Any]] = await page.evaluate("axe.run(document).then(found => found.violations)")
    return [
        f"{one['id']}: {node['html']} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_serious_on_any_view(system: System, new_context: NewContext, theme: str) -> None:
    context = await new_context(color_scheme=theme, reduced_motion="reduce")
    ann = await Visitor.arrived(context, system.address)
    page = ann.page
    await ann.sees_the_door()
    assert await serious(page) == []
    await page.get_by_role("button", name="Create account").click()
    assert await serious(page) == []
    await page.get_by_role("button", name="Sign in").click()
    await ann.sign_up()
    await ann.post("something to look at")
    await page.get_by_label("Search by name").fill("janitor")
    await expect(page.get_by_role("button", name="Follow janitor")).to_be_visible()
    assert await serious(page) == []
    await page.route("**/v1/posts", lambda route: route.abort())
    await ann.write("not sent")
    await expect(page.get_by_text("Not sent yet.")).to_be_visible()
    assert await serious(page) == []
    await page.get_by_role("button", name=f"Profile of {ann.name}").click()
    await page.get_by_role("button", name="Delete account…").click()
    assert await serious(page) == []
    await page.keyboard.press("Escape")
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for place in ("Console", "People", "Feed"):
        await page.get_by_role("navigation").get_by_role("button", name=place).click()
        assert await serious(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


async def test_markup_in_names_and_posts_stays_text(ann: Visitor, person: MakePerson, system: System) -> None:
    """The API lets nobody have such a name, so they get theirs behind its back."""
    writers = []
    for name in NAMES:
        writer = await person()
        await _rename(system, writer.id, name)
        writers.append(writer)
    for writer, name in zip(writers, NAMES, strict=True):
        await ann.page.get_by_label("Search by name").fill(name)
        await ann.page.get_by_role("button", name=f"Follow {name}", exact=True).click()
        await expect(ann.people.get_by_text(name, exact=True)).to_be_visible()
        for text in TEXTS:
            await writer.post(text)
    shown = ann.feed.locator(".text")

    await expect(shown).to_have_count(len(NAMES) * len(TEXTS))
    assert sorted(await shown.evaluate_all("all => all.map(one => one.textContent)")) == sorted(
        text.strip() for text in TEXTS * len(NAMES)
    )
    for name in NAMES:
        await expect(ann.feed.get_by_role("button", name=name, exact=True).first).to_be_visible()
    await ann.feed.get_by_role("button", name=NAMES[0], exact=True).first.click()
    await expect(ann.page.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text(NAMES[0])
    await expect(ann.frames.filter(has_text="onerror").first).to_be_visible()
    assert await ann.page.evaluate("window.broken") is None
    await expect(ann.page.locator("main :is(script, img, iframe, svg, style, math, i, a)")).to_have_count(0)


async def _rename(system: System, uid: int, name: str) -> None:
    dsn = Dsn.parse(system.env["MYSQL_PRIMARY"])
    to = {"host": dsn.host, "port": dsn.port, "user": dsn.user, "password": dsn.password, "db": dsn.database}
    async with aiomysql.connect(**to, autocommit=True) as conn, conn.cursor() as cursor:
        await cursor.execute("UPDATE users SET username = %s WHERE id = %s", (name, uid))


async def test_the_language_is_the_browsers_until_one_is_chosen_and_the_choice_is_kept(
    system: System, new_context: NewContext
) -> None:
    page = await (await new_context(locale="ru-RU")).new_page()
    await page.goto(system.address)
    await expect(page.get_by_role("button", name="Войти")).to_be_visible()
    assert await page.evaluate("document.documentElement.lang") == "ru"

    await page.get_by_label("Язык").select_option("en")
    await expect(page.get_by_role("form", name="Sign in")).to_be_visible()
    await page.reload()

    await expect(page.get_by_role("form", name="Sign in")).to_be_visible()
    assert await page.evaluate("document.documentElement.lang") == "en"


async def test_everything_can_be_done_by_keyboard_and_a_screen_reader_hears_what_comes(
    ann: Visitor, writer: Person
) -> None:
    await ann.follow(writer.username)
    heard = ann.page.locator("[aria-live=polite].unseen")
    await writer.post("is anybody there")
    await expect(heard).not_to_have_text("")  # a number, where much came at once
    await writer.post("can you hear me")
    await expect(heard).to_have_text(f"{writer.username}: can you hear me")

    await ann.page.get_by_label("What is happening?").focus()
    await ann.page.keyboard.type("by keyboard")
    await ann.page.keyboard.press("Control+Enter")

    await ann.sees("by keyboard")
    await ann.page.get_by_role("link", name="Skip to the feed").focus()
    await ann.page.keyboard.press("Enter")
    await ann.page.keyboard.press("Tab")
    await expect(ann.page.get_by_label("What is happening?")).to_be_focused()


async def test_no_answer_but_the_pages_own_files_may_run(system: System, client: httpx.AsyncClient) -> None:
    page = await client.get(system.address)
    (script,) = [part.split('"')[0] for part in page.text.split('src="')[1:]]
    asset = await client.get(f"{system.address}{script}", headers={"Accept-Encoding": "br"})

    assert "unsafe" not in page.headers["content-security-policy"]
    assert (page.headers["cache-control"], "immutable" in asset.headers["cache-control"]) == ("no-cache", True)
    assert asset.headers["content-encoding"] == "br"
    print(json.dumps({"script": len(asset.content), "on the wire": asset.headers["content-length"]}))
