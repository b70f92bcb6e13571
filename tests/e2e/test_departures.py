"""Somebody deletes their account: their pages close, and those of their followers lose what they did."""

import asyncio
from typing import Any

from tests.doors import DOORS
from tests.e2e.conftest import MakePerson
from tests.e2e.people import PASSWORD, listening_by_websocket
from tests.e2e.test_story import WAYS, Open, refused


@DOORS
@WAYS
async def test_an_account_goes_with_everything_in_it_and_followers_are_told(person: MakePerson, open: Open) -> None:
    reader, late, author = await person(), await person(), await person()
    for someone in (reader, late):
        await someone.follow(author.id)
    async with open(late) as before:
        await author.post("seen")
        await before.until("post")

    async with open(reader) as page, listening_by_websocket(author) as own:
        await author.follow(reader.id)
        await author.post("to be forgotten")
        await page.until("post")
        answer = await author.call("DELETE", "/v1/me", json={"password": PASSWORD})
        assert answer.status_code == 204
        (told,) = await page.until("account-deleted")
        (bye,) = await own.until("bye")
    assert told.data["actor"] == {"id": author.id, "username": author.username}
    assert bye.data["reason"] == "signed-out"
    assert (await author.call("GET", "/v1/me")).status_code == 401
    assert await refused(author, open) == (401, "signed-out")

    async with open(late, before.cursor) as again:  # was away all the while
        await again.until("account-deleted")

    async def shown() -> list[Any]:
        async with open(reader) as anew:
            (snapshot,) = await anew.until("snapshot")
        return [item for item in snapshot.data["items"] if item["actor"]["id"] == author.id]

    async with asyncio.timeout(20):  # the stream may be ahead of the archive, where a new one begins
        while await shown():
            await asyncio.sleep(0.1)
    feed = (await reader.call("GET", "/v1/feed")).json()["items"]
    assert [item for item in feed if item["actor"]["id"] == author.id] == []
    assert (await reader.call("GET", "/v1/friends")).json()["items"] == []
    assert (await reader.call("GET", f"/v1/users/{author.id}")).status_code == 404
