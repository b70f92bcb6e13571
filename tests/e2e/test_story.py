"""The whole way round: what one person does appears on the open pages of those who follow them."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
import websockets

from local.system import System
from tests.doors import DOORS
from tests.e2e.conftest import MakePerson
from tests.e2e.people import Listening, Person, listening, listening_by_websocket, sse

Open = Callable[..., AbstractAsyncContextManager[Listening]]
WAYS = pytest.mark.parametrize("open", [listening, listening_by_websocket])


@DOORS
@WAYS
async def test_a_follower_sees_sign_in_follow_post_deletion_and_sign_out_live(person: MakePerson, open: Open) -> None:
    reader, author = await person(), await person()
    async with open(reader) as page:
        await reader.follow(author.id)
        await page.until("follow")

        await author.sign_in()
        await author.follow(1)
        post = await author.post("hello, <b>world</b>\nand Привет")
        await author.call("DELETE", f"/v1/posts/{post['id']}")
        await author.sign_out()
        await page.until("logout")

    told = [frame for frame in page.frames if frame.data.get("actor") == {"id": author.id, "username": author.username}]
    # Nothing orders the follow after their joining: another partition holds it, which the node may read a moment later.
    theirs = [frame for frame in told if frame.event != "sign-up"]
    assert [frame.event for frame in theirs] == ["login", "follow", "post", "post-deleted", "logout"]
    assert theirs[1].data["object"]["username"] == "janitor"
    assert theirs[2].data["object"] == {"id": post["id"], "text": "hello, <b>world</b>\nand Привет"}
    assert theirs[2].data["id"] == post["event_id"]
    assert all(frame.id for frame in theirs)


@DOORS
@WAYS
async def test_a_second_stream_begins_with_the_whole_list(person: MakePerson, open: Open) -> None:
    reader, author = await person(), await person()
    await reader.follow(author.id)
    async with listening(reader) as first:
        for n in range(3):
            await author.post(f"post {n}")
        await first.until("post", count=3)

    async def whole() -> list[str]:
        async with open(reader) as page:
            (snapshot,) = await page.until("snapshot")
            await asyncio.sleep(0.3)  # what the storekeeper had not kept yet follows live
            items = [*[f.data for f in page.events("post")][::-1], *snapshot.data["items"]]
        return [item["object"]["text"] for item in items if item["type"] == "post"]

    assert await whole() == ["post 2", "post 1", "post 0"]
    assert page_types(await reader.call("GET", "/v1/feed")).count("post") == 3


def page_types(answer: object) -> list[str]:
    return [item["type"] for item in answer.json()["items"]]  # type: ignore[attr-defined]


@DOORS
@WAYS
async def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(person: MakePerson, open: Open) -> None:
    reader, author = await person(), await person()
    await reader.follow(author.id)
    async with listening(reader) as first:
        await author.post("seen")
        await first.until("post")

    for n in range(5):
        await author.post(f"missed {n}")
    async with open(reader, first.cursor) as second:
        await second.until("post", count=5)
        await author.post("live")
        await second.until("post", count=6)

    assert second.frames[0].data["resumed"] is True
    assert not second.events("snapshot", "gap")
    assert [f.data["object"]["text"] for f in second.events("post")] == [*[f"missed {n}" for n in range(5)], "live"]


@DOORS
@WAYS
@pytest.mark.parametrize(
    ("cursor", "reason"), [("garbage", "malformed"), ("AQAAAAAF", "epoch"), ("AQ%00", "malformed")]
)
async def test_a_cursor_that_says_nothing_here_gets_a_gap_and_then_a_snapshot(
    person: MakePerson, open: Open, cursor: str, reason: str
) -> None:
    async with open(await person(), cursor) as page:
        await page.until("snapshot")

    assert [frame.event for frame in page.frames[:3]] == ["hello", "gap", "snapshot"]
    assert page.frames[0].data["resumed"] is False
    assert page.frames[1].data["reason"] == reason


async def test_curl_alone_is_enough(system: System, person: MakePerson) -> None:
    reader, author = await person(), await person()
    await reader.follow(author.id)
    curl = await asyncio.create_subprocess_exec(
        *("curl", "-sN", "--max-time", "60", f"{system.address}/v1/stream"),
        *("-H", f"Authorization:Bearer {reader.token}"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert curl.stdout is not None
    frames = sse(line.decode().rstrip("\n") async for line in curl.stdout)
    try:
        async with asyncio.timeout(30):
            assert (await anext(frames)).event == "hello"
            assert (await anext(frames)).event == "snapshot"
            signing_in = await asyncio.create_subprocess_exec(
                *("curl", "-s", "-XPOST", f"{system.address}/v1/auth/sign-in"),
                *("-d", json.dumps({"username": author.username, "password": "1234567890"})),
                stdout=asyncio.subprocess.PIPE,
            )
            told = json.loads((await signing_in.communicate())[0])
            assert told["object"] == "token" and told["userId"] == author.id
            while (frame := await anext(frames)).event != "login":
                assert frame.data["actor"]["id"] == reader.id
            assert frame.data["actor"]["id"] == author.id
    finally:
        curl.terminate()
        await curl.wait()


@DOORS
@WAYS
async def test_sign_out_ends_the_streams_of_that_session_with_a_reason(person: MakePerson, open: Open) -> None:
    reader = await person()
    async with open(reader) as page:
        await page.until("snapshot")
        await reader.sign_out()
        (bye,) = await page.until("bye")
        assert bye.data["reason"] == "signed-out"

    again = await reader.call("GET", "/v1/me")
    assert again.status_code == 401
    assert await refused(reader, open) == (401, "signed-out")


async def refused(someone: Person, open: Open) -> tuple[int, str]:
    """What is answered where there is no stream."""
    if open is listening:
        answer = await someone.call("GET", "/v1/stream")
        return answer.status_code, answer.json()["error"]
    protocols = [websockets.Subprotocol("feed.v1"), websockets.Subprotocol(f"bearer.{someone.token}")]
    url = someone.address.replace("http", "ws", 1) + "/v1/ws"
    with pytest.raises(websockets.InvalidStatus) as raised:
        async with websockets.connect(url, subprotocols=protocols, proxy=None):
            pass
    response = raised.value.response
    return response.status_code, json.loads(response.body or b"{}")["error"]


@DOORS
@WAYS
async def test_an_unfollowed_author_is_heard_no_more(person: MakePerson, open: Open) -> None:
    reader, author = await person(), await person()
    await reader.follow(author.id)
    async with open(reader) as page:
        await author.post("before")
        await page.until("post")
        assert (await reader.call("DELETE", f"/v1/friends/{author.id}")).status_code == 204
        await page.until("unfollow")
        await author.post("after")
        await reader.post("mine")
        await page.until("post", count=2)

    assert [f.data["object"]["text"] for f in page.events("post")] == ["before", "mine"]


async def node_of(someone: Person, open: Open) -> str:
    """Where a stream of theirs is. A node whose archive is late says so, and a client comes again."""
    for _ in range(3):
        async with open(someone) as page:
            first = page.frames[0]
        if first.event == "hello":
            return str(first.data["node"])
        assert (first.event, first.data["reason"]) == ("bye", "unavailable"), first
    raise AssertionError("the archive was late three times")


@DOORS
async def test_all_streams_of_a_user_are_on_one_node_and_users_on_both(person: MakePerson) -> None:
    people: list[Person] = [await person() for _ in range(12)]
    nodes: dict[int, set[str]] = {}
    for someone in people:
        for open in (listening, listening_by_websocket):
            nodes.setdefault(someone.id, set()).add(await node_of(someone, open))

    assert all(len(names) == 1 for names in nodes.values())
    assert len(set.union(*nodes.values())) == 2


async def test_what_comes_from_outside_never_counts_as_an_identity(person: MakePerson) -> None:
    someone = await person()
    forged = {
        "X-User-Id": "1",
        "X-Session-Id": "00000000-0000-0000-0000-000000000000",
        "X-Edge-Secret": "guess",
        "X-Token-Exp": "9999999999",
    }

    assert (await someone.call("GET", "/v1/me", headers=forged)).json()["id"] == someone.id
    anonymous = await someone.client.get(f"{someone.address}/v1/me", headers=forged)
    assert anonymous.status_code == 401
