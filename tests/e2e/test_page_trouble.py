"""What the page says when something fails, and that it goes on by itself."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Route, expect

from tests.e2e.visitors import Visitor


def failing(times: int, status: int) -> Callable[[Route], Awaitable[None]]:
    """Answers so at first, and then as the server does."""
    left = [times]

    async def answer(route: Route) -> None:
        left[0] -= 1
        if left[0] < 0:
            await route.continue_()
        elif status:
            await route.fulfill(status=status, json={"error": "too-many-requests" if status == 429 else "unavailable"})
        else:
            await route.abort()

    return answer


@pytest.mark.parametrize("status", [0, 429, 503])
async def test_a_page_that_cannot_ask_who_is_signed_in_asks_again_by_itself(ann: Visitor, status: int) -> None:
    await ann.page.route("**/v1/auth/refresh", failing(3, status))

    await ann.page.reload()

    await expect(ann.page.get_by_role("alert")).to_be_visible()
    await ann.sees_live()


async def test_a_page_that_cannot_ask_goes_on_when_the_network_is_back(ann: Visitor) -> None:
    await ann.page.clock.install()  # so that no time passes, and the next try would never come
    await ann.page.route("**/v1/auth/refresh", failing(1, 0))
    await ann.page.clock.pause_at("2030-01-01")
    await ann.page.reload()
    await expect(ann.page.get_by_role("alert")).to_be_visible()

    await ann.page.evaluate("dispatchEvent(new Event('online'))")

    await expect(ann.page.get_by_role("banner")).to_be_visible()


async def test_a_failure_is_said_until_the_same_succeeds_or_it_is_closed(ann: Visitor) -> None:
    alerts = ann.page.get_by_role("alert")
    await ann.post("to be deleted")
    await ann.page.route("**/v1/posts/*", failing(2, 503))

    await ann.delete("to be deleted")
    await expect(alerts).to_have_count(1)
    await ann.page.get_by_label("Search by name").fill("janitor")  # something else that succeeds
    await expect(ann.everybody.get_by_text("janitor")).to_have_count(1)
    await expect(ann.everybody.get_by_role("listitem")).to_have_count(1)
    await expect(alerts).to_have_count(1)
    await alerts.get_by_role("button", name="Close").click()
    await expect(alerts).to_have_count(0)
    await ann.delete("to be deleted")
    await expect(alerts).to_have_count(1)
    await ann.delete("to be deleted")

    await expect(alerts).to_have_count(0)
    await expect(ann.feed.filter(has_text="to be deleted")).to_have_count(0)


async def test_a_stream_that_cannot_be_had_is_counted_down_to_and_may_be_tried_at_once(ann: Visitor) -> None:
    await ann.page.route("**/v1/stream?*", lambda route: route.fulfill(status=503))
    await ann.page.context.set_offline(True)
    await ann.page.context.set_offline(False)
    # Waits grow with each failure: one that leaves time for a press, after it was seen to count.
    await ann.page.evaluate(
        """() => { let before = 0, counted = 0; setInterval(() => {
            const left = Number(/ in (\\d+) s/.exec(document.querySelector('.connection').textContent)?.[1] ?? 0);
            counted = left === 0 ? 0 : counted + (left < before);
            before = left;
            document.body.dataset.pressable = counted >= 1 && left >= 3 }, 50) }"""
    )
    await expect(ann.page.locator("body")).to_have_attribute("data-pressable", "true", timeout=90_000)
    await ann.page.unroute("**/v1/stream?*")

    await ann.page.get_by_role("button", name="Try now").click()

    await ann.sees_live()


async def test_who_signs_out_with_something_unsent_is_asked_first_and_leaves_nothing_behind(ann: Visitor) -> None:
    drafts = "Object.keys(sessionStorage).filter((name) => name.startsWith('stickyfeed unsent')).length"
    await ann.page.route("**/v1/posts", lambda route: route.abort())
    await ann.write("not sent")
    await expect(ann.page.get_by_text("Not sent yet.")).to_be_visible()
    await ann.page.get_by_role("button", name=f"Profile of {ann.name}").click()
    await ann.page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    await expect(ann.page.get_by_text("would be lost")).to_be_visible()
    await expect(ann.page.get_by_role("dialog")).to_have_count(0)
    assert await ann.page.evaluate(drafts) == 1

    await ann.page.get_by_role("button", name="Sign out all the same").click()

    await ann.sees_the_door()
    assert await ann.page.evaluate(drafts) == 0


async def test_a_post_that_was_refused_is_not_sent_again(ann: Visitor) -> None:
    sent: list[str] = []

    async def refuse(route: Route) -> None:
        sent.append(route.request.headers["idempotency-key"])
        await route.fulfill(status=400, json={"error": "invalid", "field": "text"})

    await ann.page.route("**/v1/posts", refuse)
    await ann.write("never right")
    await expect(ann.page.get_by_text("A post has 1 to 1000 characters.")).to_be_visible()
    await ann.page.reload()
    await ann.sees_live()

    await expect(ann.page.get_by_role("button", name="Discard")).to_be_visible()
    await expect(ann.page.get_by_role("button", name="Send again")).to_have_count(0)
    assert len(sent) == 1
