"""Two persons in two browsers: what one does appears on the other's page by itself."""

import json
from uuid import uuid4

import httpx
from playwright.async_api import Route, expect

from local.system import System
from tests.e2e.visitors import PASSWORD, Visitor


async def test_what_one_person_does_appears_live_on_a_followers_page(ann: Visitor, bob: Visitor) -> None:
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


async def test_the_console_shows_every_frame_as_it_came(ann: Visitor, bob: Visitor) -> None:
    await ann.follow(bob.name)
    text = f"frame {uuid4().hex}"

    await bob.post(text)

    line = ann.frames.filter(has_text=text)
    await expect(line).to_have_count(1)
    await line.locator("summary").click()
    await expect(line).to_contain_text("id: ")
    event = json.loads(await line.locator("pre").inner_text())
    assert (event["type"], event["actor"]["username"], event["object"]["text"]) == ("post", bob.name, text)
    await expect(ann.frames.filter(has_text="hello").last).to_contain_text('"node"')
    assert await line.locator(".node").inner_text() == await ann.node()


async def test_the_console_pauses_filters_and_forgets(ann: Visitor) -> None:
    await ann.post("mark one")
    await expect(ann.frames.filter(has_text="mark one")).to_have_count(1)

    await ann.page.get_by_label("Filter").fill("HELLO")
    await expect(ann.frames).to_have_count(1)
    await ann.page.get_by_label("Filter").fill("")
    await ann.page.get_by_role("button", name="Pause").click()
    await ann.post("mark two")
    await expect(ann.page.get_by_text("Paused · 1 more came")).to_be_visible()
    await expect(ann.frames.filter(has_text="mark two")).to_have_count(0)
    await ann.page.get_by_role("button", name="Resume").click()
    await expect(ann.frames.filter(has_text="mark two")).to_have_count(1)
    await ann.page.get_by_role("button", name="Clear").click()
    await expect(ann.frames.filter(has_text="mark")).to_have_count(0)


async def test_a_deleted_post_leaves_every_page(ann: Visitor, bob: Visitor) -> None:
    await ann.follow(bob.name)
    await bob.post("soon gone")
    mine, theirs = bob.feed.filter(has_text="soon gone"), ann.feed.filter(has_text="soon gone")
    await expect(theirs).to_have_count(1)
    await expect(theirs.get_by_role("button", name="Delete")).to_have_count(0)

    await bob.delete("soon gone")

    await expect(mine).to_have_count(0)
    await expect(theirs).to_have_count(0)


async def test_following_brings_the_past_into_the_feed_and_unfollowing_takes_it_out(
    ann: Visitor,
    bob: Visitor,
) -> None:
    await bob.post("written before Ann came")

    await ann.follow(bob.name)
    await expect(ann.feed.filter(has_text="written before Ann came")).to_have_count(1)
    await ann.unfollow(bob.name)

    await expect(ann.feed.filter(has_text="written before Ann came")).to_have_count(0)


async def test_a_reload_keeps_the_person_signed_in(ann: Visitor) -> None:
    await ann.page.reload()

    await ann.sees_live()
    await expect(ann.page.get_by_role("banner")).to_contain_text(ann.name)


async def test_reloads_that_wait_for_nothing_keep_the_person_signed_in(ann: Visitor) -> None:
    for _ in range(2):
        async with ann.page.expect_request("**/v1/auth/refresh"):
            await ann.page.reload(wait_until="commit")
    await ann.page.reload()

    await ann.sees_live()
    await expect(ann.page.get_by_role("banner")).to_contain_text(ann.name)


async def test_a_new_token_that_is_lost_on_its_way_keeps_the_person_signed_in(
    ann: Visitor, system: System, client: httpx.AsyncClient
) -> None:
    (cookie,) = [one for one in await ann.page.context.cookies() if one.get("name") == "sf_refresh"]
    body = {"refresh_token": cookie.get("value")}
    assert (await client.post(f"{system.address}/v1/auth/refresh", json=body)).status_code == 200
    client.cookies.clear()
    await ann.page.reload()

    await ann.sees_live()
    await expect(ann.page.get_by_role("banner")).to_contain_text(ann.name)


async def test_a_post_whose_token_has_ended_goes_out_with_a_new_one(ann: Visitor) -> None:
    bearers: list[str] = []

    async def refuse_the_first(route: Route) -> None:
        bearers.append(route.request.headers["authorization"])
        if len(bearers) == 1:
            await route.fulfill(status=401, json={"error": "token-expired"})
        else:
            await route.continue_()

    await ann.page.route("**/v1/posts", refuse_the_first)
    await ann.post("with a new token")

    assert len(set(bearers)) == 2
    await ann.sees("with a new token")
    await expect(ann.page.get_by_text("Not sent yet.")).to_have_count(0)


async def test_a_post_survives_a_request_that_fails_and_is_there_once(ann: Visitor) -> None:
    """The answer is lost on the way: the API has the post, and the page cannot know."""
    keys: list[str] = []

    async def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await ann.page.route("**/v1/posts", lose_the_first_answer)
    await ann.write("only once")
    await expect(ann.page.get_by_text("Not sent yet.")).to_be_visible()
    await ann.page.get_by_role("button", name="Send again").click()
    await expect(ann.page.locator(".draft")).to_have_count(0)
    await ann.page.reload()
    await ann.sees_live()

    assert len(keys) == 2 and len(set(keys)) == 1
    await ann.sees("only once")


async def test_a_post_that_was_not_sent_is_still_there_after_a_reload(ann: Visitor) -> None:
    await ann.page.route("**/v1/posts", lambda route: route.abort())
    await ann.write("kept over a reload")
    await expect(ann.page.get_by_text("Not sent yet.")).to_be_visible()
    await ann.page.unroute("**/v1/posts")

    await ann.page.reload()

    await expect(ann.page.locator(".draft")).to_have_count(0)
    await ann.sees("kept over a reload")


async def test_a_profile_tells_who_somebody_is_and_all_that_they_wrote(
    ann: Visitor, bob: Visitor, client: httpx.AsyncClient
) -> None:
    await bob.post("about me")
    program = await bob.as_program(bob.page.url.rstrip("/"), client)
    for n in range(11):
        await program.post(f"of mine {n}")
    await ann.follow(bob.name)
    await ann.feed.filter(has_text="about me").get_by_role("button", name=bob.name).click()
    profile = ann.page.get_by_role("dialog")
    await expect(profile).to_contain_text("Joined ")
    written = profile.get_by_role("list", name="Posts").get_by_role("listitem")
    await expect(written).to_have_count(10)
    await profile.get_by_role("button", name="Show older").click()
    await expect(written).to_have_count(12)
    await expect(written.last).to_contain_text("about me")

    await expect(profile).to_contain_text("1 follower ")
    await profile.get_by_role("button", name=f"Unfollow {bob.name}").click()
    await expect(profile.get_by_role("button", name=f"Follow {bob.name}", exact=True)).to_be_focused()
    await ann.page.keyboard.press("Escape")

    await expect(profile).to_have_count(0)
    await expect(ann.feed.filter(has_text="about me")).to_have_count(0)


async def test_who_deletes_the_account_is_gone_from_every_page(ann: Visitor, bob: Visitor) -> None:
    await ann.follow(bob.name)
    await bob.post("goodbye")
    await expect(ann.feed.filter(has_text="goodbye")).to_have_count(1)
    await bob.page.get_by_role("button", name=f"Profile of {bob.name}").click()
    profile = bob.page.get_by_role("dialog")
    await profile.get_by_role("button", name="Delete account…").click()
    await profile.get_by_label("Your password").fill("not the password")
    await profile.get_by_role("button", name="Delete account", exact=True).click()
    await expect(profile.get_by_role("alert")).to_have_text("The password is wrong.")

    await profile.get_by_label("Your password").fill(PASSWORD)
    await profile.get_by_role("button", name="Delete account", exact=True).click()

    await bob.sees_the_door()
    await expect(ann.feed.filter(has_text="goodbye")).to_have_count(0)
    await expect(ann.people.get_by_text(bob.name)).to_have_count(0)
