"""What clients send that they should not: every case has its defined answer, by whichever transport."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import websockets

from store import cursor
from tests.doors import DOORS
from tests.e2e.conftest import MakePerson
from tests.e2e.people import Listening, Person, listening, listening_by_websocket
from tests.e2e.test_story import WAYS, Open

pytestmark = DOORS

_FAR = 2**62


async def place_of(person: Person) -> cursor.Cursor:
    """Where the person's stream stands now."""
    async with listening(person) as page:
        await page.until("snapshot")
    return cursor.decode(page.cursor)


@asynccontextmanager
async def socket_of(person: Person) -> AsyncIterator[websockets.ClientConnection]:
    url = f"{person.address.replace('http', 'ws', 1)}/v1/ws?access_token={person.token}"
    async with websockets.connect(url, proxy=None, close_timeout=1) as socket:
        yield socket


async def last_words(socket: websockets.ClientConnection) -> dict[str, object]:
    """The last message before the server closed; empty if there was none. The close frame counts, not who hangs up when."""
    last = "{}"
    with suppress(websockets.ConnectionClosed, TimeoutError):
        async with asyncio.timeout(3):
            while True:
                last = str(await socket.recv())
    told: dict[str, object] = json.loads(last)
    return told


@WAYS
async def test_a_cursor_of_the_wrong_shape_gets_a_gap_that_names_it_and_a_snapshot(
    person: MakePerson, open: Open
) -> None:
    someone = await person()
    here = await place_of(someone)
    good = cursor.encode(here.epoch, here.offsets)
    wrong = {
        "epoch": [
            cursor.encode("deadbeef", here.offsets),
            cursor.encode(here.epoch, here.offsets[:-1]),
            cursor.encode(here.epoch, (*here.offsets, 0)),
            cursor.encode(here.epoch, [0]),
        ],
        "malformed": [
            good[:7],
            good[:-1] + "!",
            good + "=",
            "Ag" + good[2:],  # version 2
            cursor.encode(here.epoch, [*here.offsets[:-1], 2**63]),
            "A" * 7000,
        ],
    }

    for reason, texts in wrong.items():
        for text in texts:
            async with open(someone, text) as page:
                await page.until("snapshot")
            assert [frame.event for frame in page.frames[:3]] == ["hello", "gap", "snapshot"], text
            assert page.frames[0].data["resumed"] is False
            assert page.frames[1].data == {"reason": reason, "from": text, "to": page.frames[2].id}
            assert cursor.decode(page.frames[2].id or "").epoch == here.epoch


async def test_a_cursor_far_ahead_gets_its_gap_after_the_wait_and_is_live_from_then_on(person: MakePerson) -> None:
    someone, author = await person(), await person()
    await someone.follow(author.id)
    here = await place_of(someone)
    everywhere = cursor.encode(here.epoch, [_FAR for _ in here.offsets])
    somewhere = cursor.encode(here.epoch, [*here.offsets[:-1], _FAR])

    async def told(open: Open, text: str) -> Listening:
        async with open(someone, text) as page:
            await page.until("snapshot", seconds=30)
            post = await author.post("after the gap")
            async with asyncio.timeout(20):
                while post["event_id"] not in [frame.data["id"] for frame in page.events("post")]:
                    await asyncio.sleep(0.05)
        return page

    pages = await asyncio.gather(
        *(told(open, text) for open in (listening, listening_by_websocket) for text in (everywhere, somewhere))
    )
    for page in pages:
        (gap,) = page.events("gap")
        assert gap.data["reason"] == "ahead"
        assert page.frames.index(gap) + 1 == page.frames.index(page.events("snapshot")[0])


@pytest.mark.parametrize(
    "said",
    ["null", "7", '"token"', "[]", "{}", '{"token": null}', '{"token": "x", "and": "more"}', '{"token": "x"', ""],
    ids=str,
)
async def test_any_other_message_ends_with_bye_protocol_and_1008(person: MakePerson, said: str) -> None:
    async with socket_of(await person()) as socket:
        await socket.send(said)
        last = await last_words(socket)

    assert (last["event"], last["data"]["reason"]) == ("bye", "protocol")  # type: ignore[index]
    assert socket.close_code == 1008


async def test_a_message_in_pieces_counts_as_the_whole_and_a_token_that_is_none_is_refused(person: MakePerson) -> None:
    someone = await person()
    async with socket_of(someone) as socket:
        await socket.send(iter(['{"to', 'ken": "no', 't a token"}']))
        while (message := json.loads(await socket.recv()))["event"] != "refused":
            pass
        assert message["data"]["error"] == "token-invalid"
        await socket.send(iter([f'{{"token": "{"x" * 10_000}', "x" * 10_000 + '"}']))
        last = await last_words(socket)

    assert socket.close_code == 1009, last


async def test_text_that_is_no_utf_8_ends_that_socket_and_no_other(person: MakePerson) -> None:
    someone = await person()
    async with listening_by_websocket(someone) as other, socket_of(someone) as socket:
        await socket.send(b"\xff\xfe{}", text=True)
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(10):
                while True:
                    await socket.recv()
        await someone.post("still here")
        await other.until("post")

    assert socket.close_code in (1006, 1007)


async def test_thirty_messages_a_minute_are_answered_and_the_next_one_ends_it(person: MakePerson) -> None:
    someone = await person()
    async with socket_of(someone) as socket:
        for _ in range(31):
            await socket.send(json.dumps({"token": someone.token}))
        events: list[str] = []
        with suppress(websockets.ConnectionClosed):
            async with asyncio.timeout(20):
                while True:
                    events.append(json.loads(await socket.recv())["event"])

    assert events.count("renewed") == 30 and events[-1] == "bye"
    assert socket.close_code == 1008


async def test_an_empty_last_event_id_is_none_and_the_query_counts(person: MakePerson) -> None:
    someone = await person()
    at = cursor.encode((here := await place_of(someone)).epoch, here.offsets)
    headers = {"Authorization": f"Bearer {someone.token}", "Last-Event-ID": ""}
    url = f"{someone.address}/v1/stream?cursor={at}"
    async with someone.client.stream("GET", url, headers=headers, timeout=None) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                break

    assert json.loads(line.removeprefix("data: "))["resumed"] is True
