"""Each view, for everybody: in both themes and languages, by keyboard, on a phone, and whatever others call themselves."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiomysql
import httpx
import pytest
from playwright.async_api import Locator, Page, Route, expect

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
    await expect(ann.everybody.get_by_role("button", name="Follow janitor")).to_be_visible()
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
        await ann.everybody.get_by_role("button", name=f"Follow {name}", exact=True).click()
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
    await _execute(system, "UPDATE users SET username = %s WHERE id = %s", name, uid)


async def _execute(system: System, sql: str, *values: object) -> None:
    dsn = Dsn.parse(system.env["MYSQL_PRIMARY"])
    to = {"host": dsn.host, "port": dsn.port, "user": dsn.user, "password": dsn.password, "db": dsn.database}
    async with aiomysql.connect(**to, autocommit=True) as conn, conn.cursor() as cursor:
        await cursor.execute(sql, values)


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


async def test_a_screen_reader_hears_what_comes(ann: Visitor, writer: Person) -> None:
    await ann.follow(writer.username)
    heard = ann.page.locator("[aria-live=polite].unseen")

    await writer.post("is anybody there")
    await expect(heard).not_to_have_text("")  # a number, where much came at once
    await writer.post("can you hear me")

    await expect(heard).to_have_text(f"{writer.username}: can you hear me")


async def tab_to(page: Page, target: Locator) -> None:
    """Goes on with Tab until it is there."""
    for _ in range(400):  # past fifty people, whoever has signed up
        await page.keyboard.press("Tab")
        if await target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"Tab never came to {target}")


async def test_posting_deleting_and_signing_out_can_be_done_by_keyboard_and_focus_is_never_lost(ann: Visitor) -> None:
    page, key = ann.page, ann.page.keyboard
    await tab_to(page, page.get_by_role("link", name="Skip to the feed"))
    await key.press("Enter")
    await tab_to(page, page.get_by_label("What is happening?"))
    await key.type("by keyboard")
    await key.press("Control+Enter")
    await ann.sees("by keyboard")
    await expect(page.get_by_label("What is happening?")).to_be_focused()

    await tab_to(page, ann.feed.filter(has_text="by keyboard").get_by_role("button", name="Delete"))
    await key.press("Enter")
    sure = ann.feed.get_by_role("button", name="Delete for good?")
    await expect(sure).to_be_focused()
    await key.press("Enter")
    await expect(ann.feed.filter(has_text="by keyboard")).to_have_count(0)
    await expect(page.locator(".entry:focus")).to_have_count(1)

    await tab_to(page, page.get_by_role("banner").get_by_role("button", name="Sign out"))
    await key.press("Enter")
    await ann.sees_the_door()
    await expect(page.get_by_label("Username")).to_be_focused()


async def test_following_and_profiles_can_be_had_by_keyboard_and_focus_is_never_lost(
    ann: Visitor, writer: Person, other: Person
) -> None:
    page, key, name = ann.page, ann.page.keyboard, writer.username
    await other.post("by another")
    await tab_to(page, page.get_by_label("Search by name"))
    for one in (other.username, name):
        await key.press("Control+A")
        await key.type(one)
        follow = ann.everybody.get_by_role("button", name=f"Follow {one}", exact=True)
        await expect(follow).to_be_visible()
        await tab_to(page, follow)
        await key.press("Enter")
        await expect(ann.everybody.get_by_role("button", name=f"Unfollow {one}")).to_be_focused()
        await key.press("Shift+Tab")
        await key.press("Shift+Tab")
        await expect(page.get_by_label("Search by name")).to_be_focused()
    await page.reload()
    await ann.sees_live()
    await tab_to(page, ann.people.get_by_role("button", name=f"Unfollow {name}"))
    await key.press("Enter")
    await expect(ann.people).to_be_focused()
    await expect(ann.people.get_by_text(name)).to_have_count(0)

    await page.reload()
    await ann.sees_live()
    theirs = ann.feed.filter(has_text="by another")
    await tab_to(page, theirs.get_by_role("button", name=other.username))
    await key.press("Enter")
    profile = page.get_by_role("dialog")
    await expect(profile.get_by_text("by another")).to_be_visible()
    await tab_to(page, profile.get_by_role("button", name=f"Unfollow {other.username}"))
    await key.press("Enter")
    await expect(profile.get_by_role("button", name=f"Follow {other.username}", exact=True)).to_be_focused()
    await expect(theirs).to_have_count(0)
    await key.press("Escape")
    await expect(profile).to_have_count(0)
    await expect(page.get_by_role("heading", name="Feed", exact=True)).to_be_focused()


@pytest.fixture
async def other(person: MakePerson) -> Person:
    """One more whom others read."""
    return await person()


async def test_on_a_phone_the_skip_link_leads_to_the_feed_from_every_place(ann: Visitor) -> None:
    await ann.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    await ann.page.get_by_role("navigation").get_by_role("button", name="People").click()

    await ann.page.get_by_role("link", name="Skip to the feed").focus()
    await ann.page.keyboard.press("Enter")
    await ann.page.keyboard.press("Tab")

    await expect(ann.page.get_by_label("What is happening?")).to_be_focused()


@pytest.mark.parametrize(("theme", "view"), [("light", DESK), ("dark", PHONE)])
async def test_axe_finds_nothing_serious_when_much_is_going_on_in_either_language(
    system: System, new_context: NewContext, writer: Person, theme: str, view: dict[str, int]
) -> None:
    ann = await Visitor.signed_up(await new_context(color_scheme=theme, reduced_motion="reduce"), system.address)
    page = ann.page
    await expect(page.get_by_role("list", name="People you could follow")).to_be_visible()
    assert await serious(page) == []
    await ann.follow(writer.username)
    for n in range(20):
        await writer.post(f"mark {n}")
    await expect(ann.feed.filter(has_text="mark")).to_have_count(20)
    await page.locator("summary").first.click()
    await page.set_viewport_size(view)  # type: ignore[arg-type]

    async def forget(route: Route) -> None:
        await route.continue_(url=route.request.url.split("?")[0] + "?cursor=AAAA")

    await page.route("**/v1/stream?*", forget)
    await page.evaluate("scrollTo(0, 700)")
    await page.context.set_offline(True)
    await expect(ann.connection).to_have_text("Offline")
    await writer.post("mark 20")
    await page.context.set_offline(False)
    await expect(page.locator(".fresh")).to_contain_text("new")
    await page.route("**/v1/users/*", lambda route: route.abort())
    await page.get_by_role("button", name=f"Profile of {ann.name}").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await serious(page) == []
    await page.get_by_role("dialog").get_by_label("Language").select_option("ru")
    assert await serious(page) == []
    await page.keyboard.press("Escape")
    await expect(page.locator(".notice")).to_have_count(2)

    assert await serious(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == view["width"]


async def test_the_composer_counts_characters_as_people_do_and_lets_nobody_write_too_much(ann: Visitor) -> None:
    text = ann.page.get_by_label("What is happening?")
    left, post = ann.page.locator("#left"), ann.page.get_by_role("button", name="Post", exact=True)
    await expect(post).to_be_disabled()
    await text.fill("🐝" * 899)
    await expect(left).to_have_text("")

    await text.fill("🐝" * 900)
    await expect(left).to_have_text("100 left")
    await text.fill("🐝" * 1001)
    await expect(left).to_have_text("1 too many")
    await expect(post).to_be_disabled()
    await text.fill("  " + "🐝" * 1000 + "\n")
    await expect(left).to_have_text("0 left")
    await post.click()

    await ann.sees("🐝" * 1000)
    await expect(ann.page.locator(".draft")).to_have_count(0)


async def test_people_come_page_by_page(ann: Visitor, system: System) -> None:
    """Fifty a page: more than that are made behind the API's back, which would take minutes over passwords."""
    stem = f"m{uuid4().hex[:6]}"
    rows = ", ".join(f"('{stem}-{n:02}', '!', NOW(3))" for n in range(60))
    await _execute(system, f"INSERT INTO users (username, password, created_at) VALUES {rows}")  # noqa: S608
    await ann.page.get_by_label("Search by name").fill(stem)
    shown = ann.everybody.get_by_role("listitem")
    await expect(shown.first).to_contain_text(stem)
    await expect(shown).to_have_count(50)

    await ann.page.get_by_role("button", name="Show more").click()

    await expect(shown).to_have_count(60)
    await expect(shown.last).to_contain_text(f"{stem}-59")
    await expect(ann.page.get_by_role("button", name="Show more")).to_have_count(0)


async def test_a_field_that_is_refused_is_marked_and_focused(system: System, new_context: NewContext) -> None:
    visitor = await Visitor.arrived(await new_context(), system.address)
    page = visitor.page
    await page.get_by_role("button", name="Create account").click()
    for label, value in (("Username", "janitor"), ("Password again", "a long password")):
        await page.get_by_label(label).fill(value)
    password = page.get_by_label("Password", exact=False).first
    await password.fill("another password")
    await page.get_by_role("form").get_by_role("button", name="Create account").click()
    await expect(page.get_by_label("Password again")).to_be_focused()
    await expect(page.get_by_label("Password again")).to_have_attribute("aria-invalid", "true")
    await password.fill("a long password")

    await page.get_by_role("form").get_by_role("button", name="Create account").click()

    await expect(page.get_by_role("alert")).to_have_text("Somebody has this name already.")
    await expect(page.get_by_label("Username")).to_be_focused()
    await expect(page.locator("[aria-invalid=true]")).to_have_count(1)


async def test_no_answer_but_the_pages_own_files_may_run(system: System, client: httpx.AsyncClient) -> None:
    page = await client.get(system.address)
    (script,) = [part.split('"')[0] for part in page.text.split('src="')[1:]]
    asset = await client.get(f"{system.address}{script}", headers={"Accept-Encoding": "br"})

    assert "unsafe" not in page.headers["content-security-policy"]
    assert (page.headers["cache-control"], "immutable" in asset.headers["cache-control"]) == ("no-cache", True)
    assert asset.headers["content-encoding"] == "br"
    print(json.dumps({"script": len(asset.content), "on the wire": asset.headers["content-length"]}))
