"""Tokens and sessions end while streams are open: G5."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

from store.tokens import Signer
from tests.doors import DOORS
from tests.e2e.people import PASSWORD, Person, listening
from tests.e2e.test_story import WAYS, Open
from tests.faults.beside import Beside, OneMore
from tests.faults.model import Follower, World, until
from tests.integration.wire_support import connected, lines


def signer(world: World, life: int) -> Signer:
    env = world.system.env
    return Signer(Path(env["TOKEN_SIGNING_KEY"]), env["TOKEN_ISSUER"], env["TOKEN_AUDIENCE"], life)


def session(token: str) -> tuple[int, str]:
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims["uid"], claims["sid"]


@DOORS
@WAYS
async def test_g5_a_stream_is_closed_when_its_token_expires_with_the_reason(world: World, open: Open) -> None:
    person = await Person.signed_up(world.address, world.client)
    person.token, exp = signer(world, 2).sign(*session(person.token))

    async with open(person) as page:
        (expiring,) = await page.until("expiring")
        assert expiring.data["expires_at"] == exp
        (bye,) = await page.until("bye")
        late = time.time() - exp

    assert bye.data["reason"] == "expired"
    assert late < 5
    print(f"closed {late * 1000:.0f} ms after the token's expiry")


@DOORS
async def test_g5_a_renewed_token_prolongs_an_sse_stream(world: World) -> None:
    person = await Person.signed_up(world.address, world.client)
    who, long = session(person.token), person.token
    person.token, exp = signer(world, 3).sign(*who)

    async with listening(person) as page:
        person.token = long
        answer = await person.call("POST", "/v1/stream/token")
        assert (answer.status_code, answer.json()["streams"]) == (200, 1)
        await asyncio.sleep(exp - time.time() + 0.5)
        await person.post("still here")
        await page.until("post")
        assert not page.events("bye")

    await until_no_stream(person)


async def until_no_stream(person: Person) -> None:
    """A stream that its client has closed is gone, so there is nothing to renew."""
    async with asyncio.timeout(10):
        while (await person.call("POST", "/v1/stream/token")).status_code != 404:
            await asyncio.sleep(0.1)


@DOORS
async def test_g5_a_renewed_token_prolongs_a_websocket_and_one_of_somebody_else_does_not(world: World) -> None:
    person = await Person.signed_up(world.address, world.client)
    other = await Person.signed_up(world.address, world.client)
    short, exp = signer(world, 3).sign(*session(person.token))
    url = f"{world.address.replace('http', 'ws', 1)}/v1/ws?access_token={short}"

    async with websockets.connect(url, proxy=None) as socket:
        await hears(socket, "snapshot")
        await socket.send(json.dumps({"token": other.token}))
        assert (await hears(socket, "refused"))["error"] == "token-invalid"
        await socket.send(json.dumps({"token": person.token}))
        assert (await hears(socket, "renewed"))["expires_at"] > exp
        await asyncio.sleep(exp - time.time() + 0.5)
        await person.post("still here")
        assert (await hears(socket, "post"))["object"]["text"] == "still here"


async def hears(socket: websockets.ClientConnection, name: str) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while True:
            message = json.loads(await socket.recv())
            assert message["event"] != "bye", message
            if message["event"] == name:
                return dict(message["data"])


@DOORS
async def test_g5_sign_out_closes_the_sessions_streams_on_every_node_and_no_other_session(
    world: World, door: str
) -> None:
    person = await Person.signed_up(world.address, world.client)
    here = Follower(world.address, {"Authorization": f"Bearer {person.token}"}, [])
    both = [await world.straight(node, here, door) for node in ("stream-1", "stream-2")]
    for follower in both:
        follower.frames = []
    leaving = person.token
    await person.sign_in()
    staying = Follower(world.address, {"Authorization": f"Bearer {person.token}"}, [])
    async with world.staying(staying, *both):
        person.token = leaving
        began = time.monotonic()
        await person.sign_out()
        await until(lambda: all(follower.seen("bye") for follower in both), 15)
        print(f"closed on both nodes {(time.monotonic() - began) * 1000:.0f} ms after the sign-out began")
        await until(lambda: all(follower.refusals for follower in both), 15)

        assert {follower.seen("bye")[0].data["reason"] for follower in both} == {"signed-out"}
        assert not staying.seen("bye")
    # They came back, as a careless client does, and there was no stream for them.
    assert all(len(follower.hellos) == 1 and set(follower.refusals) == {"signed-out"} for follower in both)


@asynccontextmanager
async def dripping(node: OneMore, headers: list[tuple[str, str]], door: str) -> AsyncIterator[None]:
    """A stream straight at the node, whose client takes one byte every quarter of a second."""
    if door == "wire":
        async with connected(int(node.wire.rpartition(":")[2])) as client:
            sid = client.ask(headers)
            await client.live(sid)
            client.client.stalled.add(sid)
            opening = asyncio.create_task(open_by_a_byte(client.client.h2, client.flush, sid))
            yield
            opening.cancel()
        return
    host, _, port = node.address.partition(":")
    loop = asyncio.get_running_loop()
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.setblocking(False)
        await loop.sock_connect(made, (host, int(port)))
        told = [f"{name}: {value}" for name, value in headers if not name.startswith(":")]
        await loop.sock_sendall(made, "\r\n".join(["GET /v1/stream HTTP/1.1", "Host: edge", *told, "", ""]).encode())
        reading = asyncio.create_task(read_by_a_byte(made))
        yield
        reading.cancel()


async def open_by_a_byte(h2: Any, flush: Callable[[], None], sid: int) -> None:
    while True:
        h2.increment_flow_control_window(1, sid)
        flush()
        await asyncio.sleep(0.25)


async def read_by_a_byte(made: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(made, 1):
        await asyncio.sleep(0.25)


@pytest.mark.parametrize("door", ["wire", "plain"])
async def test_g5_a_reader_of_a_byte_now_and_then_is_gone_after_its_sign_out(
    world: World, beside: Beside, door: str
) -> None:
    """Whatever else ends a stream, a heartbeat without room or a client that takes nothing, is further away."""
    person, loud = await Person.signed_up(world.address, world.client), beside.uid()
    uid, sid = session(person.token)
    await beside.follow(uid, [loud])
    asked = lines(uid, sid=sid, secret=beside.system.env["EDGE_SECRET"])
    async with beside.node(HEARTBEAT="45", SLOW_AFTER="3600") as node:

        async def is_writing() -> bool:
            told = (await beside.client.get(f"http://{node.address}/v1/stream/explain", headers=dict(asked[4:]))).json()
            return any(stream["writing_for"] is not None for stream in told["streams"])

        async def is_gone() -> bool:
            return "\nstickyfeed_stream_open 0.0\n" in (await beside.client.get(f"http://{node.address}/metrics")).text

        async with dripping(node, asked, door):
            async with asyncio.timeout(30):
                while not await is_writing():
                    await beside.post(loud, 20, 16_384)
            await person.sign_out()
            began = time.monotonic()
            async with asyncio.timeout(20):
                while not await is_gone():
                    await asyncio.sleep(0.05)
            print(f"gone {(time.monotonic() - began) * 1000:.0f} ms after the sign-out")


@DOORS
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("not json", 1008),
        ("[" * 5000, 1008),
        ('{"token": 7}', 1008),
        ('{"hello": "there"}', 1008),
        (b"\x00\x01", 1003),
        ("x" * 40_000, 1009),
    ],
)
async def test_a_websocket_that_says_what_it_must_not_is_closed_with_the_right_code(
    world: World, said: str | bytes, code: int
) -> None:
    person = await Person.signed_up(world.address, world.client)
    url = f"{world.address.replace('http', 'ws', 1)}/v1/ws?access_token={person.token}"
    async with websockets.connect(url, proxy=None) as socket:
        await hears(socket, "snapshot")
        await socket.send(said)
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(15):
                while True:
                    await socket.recv()

    assert socket.close_code == code


@DOORS
async def test_a_websocket_that_talks_too_much_is_closed(world: World) -> None:
    person = await Person.signed_up(world.address, world.client)
    url = f"{world.address.replace('http', 'ws', 1)}/v1/ws?access_token={person.token}"
    async with websockets.connect(url, proxy=None) as socket:
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(15):
                for _ in range(40):
                    await socket.send(json.dumps({"token": PASSWORD}))
                while True:
                    await socket.recv()

    assert socket.close_code == 1008
