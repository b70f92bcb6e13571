"""Who comes with the token of a session that is over: G5 before the first byte of a stream, at both doors, by both transports."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
import websockets

from store.as_of import AsOf
from store.briefs import Brief
from store.cursor import Cursor
from stream import opening
from tests.integration.plain_support import plain
from tests.integration.wire_support import Running, Socket, connected, lines, running, sse, true

_HOUR = 3_600_000  # ms
_MASKED_PING = b"\x89\x85" + bytes(4) + b"early"


@dataclass
class Asked:
    """What has come for one request so far. `status` is 0 until there is an answer; that of a WebSocket is 101 or 200."""

    status: int = 0
    body: Any = None  # of an answer that is no stream
    byes: list[dict[str, Any]] = field(default_factory=list)


Ask = Callable[[str], Awaitable[Asked]]


@asynccontextmanager
async def wire_sse(node: Running, session: str) -> AsyncIterator[Asked]:
    async with _on_wire(node, lines(7, sid=session), end=True) as asked:
        yield asked


@asynccontextmanager
async def wire_ws(node: Running, session: str) -> AsyncIterator[Asked]:
    wish = [(":method", "CONNECT"), (":protocol", "websocket"), *lines(7, path="/v1/ws", sid=session)[1:]]
    async with _on_wire(node, wish, end=False) as asked:
        yield asked


@asynccontextmanager
async def _on_wire(node: Running, wish: list[tuple[str, str]], *, end: bool) -> AsyncIterator[Asked]:
    async with connected(node.port) as socket:
        stream, asked = socket.ask(wish, end=end), Asked()
        looking = asyncio.create_task(_look(socket, stream, asked))
        try:
            yield asked
        finally:
            looking.cancel()


async def _look(socket: Socket, stream: int, asked: Asked) -> None:
    while True:
        asked.status = int(socket.client.headers.get(stream, {}).get(b":status", b"0"))
        received = socket.client.received[stream]
        if asked.status == 401 and stream in socket.client.ended:
            asked.body = json.loads(received)
        elif asked.status == 200:
            asked.byes = [got.data for got in sse(received) if got.event == "bye"] or _byes(received)
        await asyncio.sleep(0.01)


def _byes(received: bytes) -> list[dict[str, Any]]:
    at = received.find(b'{"event":"bye"')
    return [json.JSONDecoder().raw_decode(received[at:].decode(errors="replace"))[0]["data"]] if at >= 0 else []


@asynccontextmanager
async def plain_sse(node: Running, session: str) -> AsyncIterator[Asked]:
    asked = Asked()

    async def read(port: int) -> None:
        headers = dict(lines(7, sid=session)[4:])
        url = f"http://127.0.0.1:{port}/v1/stream"
        async with httpx.AsyncClient(timeout=20) as client, client.stream("GET", url, headers=headers) as answer:
            asked.status = answer.status_code
            if answer.status_code != 200:
                asked.body = json.loads(await answer.aread())
                return
            received = b""
            async for some in answer.aiter_bytes():
                received += some
                asked.byes = [got.data for got in sse(received) if got.event == "bye"]

    async with plain(node) as port:
        reading = asyncio.create_task(read(port))
        try:
            yield asked
        finally:
            reading.cancel()


@asynccontextmanager
async def plain_ws(node: Running, session: str) -> AsyncIterator[Asked]:
    asked = Asked()

    async def read(port: int) -> None:
        headers = dict(lines(7, sid=session)[4:])
        try:
            url = f"ws://127.0.0.1:{port}/v1/ws"
            async with websockets.connect(url, additional_headers=headers, proxy=None) as socket:
                asked.status = 101
                async for text in socket:
                    message = json.loads(text)
                    asked.byes += [message["data"]] if message["event"] == "bye" else []
        except websockets.InvalidStatus as refused:
            asked.status, asked.body = refused.response.status_code, json.loads(refused.response.body or b"null")

    async with plain(node) as port:
        reading = asyncio.create_task(read(port))
        try:
            yield asked
        finally:
            reading.cancel()


WAYS = pytest.mark.parametrize("way", [wire_sse, wire_ws, plain_sse, plain_ws], ids=lambda way: way.__name__)
Way = Callable[[Running, str], Any]


@WAYS
async def test_g5_a_session_that_is_known_to_be_over_is_answered_401_and_nothing_is_kept(way: Way) -> None:
    session = str(uuid4())
    async with running() as node:
        node.store.ended.add(session)
        async with way(node, session) as asked:
            await true(lambda: asked.body, "an answer that is no stream")

            assert (asked.status, asked.body["error"], asked.byes) == (401, "signed-out", [])
            await true(lambda: not len(node.hub) and not node.hub._groups, "it is forgotten")


@WAYS
async def test_g5_an_end_that_comes_while_the_session_is_asked_for_is_answered_401_too(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = str(uuid4())
    monkeypatch.setattr(opening, "_KNOWN_WITHIN", 60)
    async with running() as node:
        go_on = _archive_waits(node, monkeypatch)
        async with way(node, session) as asked:
            await true(lambda: len(node.hub), "it is known")
            node.hub.end_sessions(7, session)
            go_on.set()
            await true(lambda: asked.body, "an answer that is no stream")

            assert (asked.status, asked.body["error"]) == (401, "signed-out")


@WAYS
async def test_a_client_is_answered_before_the_archive_is_and_then_the_stream_says_that_it_is_over(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = str(uuid4())
    monkeypatch.setattr(opening, "_KNOWN_WITHIN", 0.05)
    async with running() as node:
        go_on = _archive_waits(node, monkeypatch)
        node.store.ended.add(session)
        async with way(node, session) as asked:
            await true(lambda: asked.status in (101, 200), "the header, while the archive says nothing")
            assert asked.byes == []
            go_on.set()
            await true(lambda: asked.byes, "a bye")

            assert asked.byes == [{"reason": "signed-out", "retry": _HOUR}]


@WAYS
@pytest.mark.parametrize("sid_of", ["the session", "the account"])
async def test_g5_a_stream_that_was_open_is_told_not_to_come_back_for_an_hour(way: Way, sid_of: str) -> None:
    session = str(uuid4())
    async with running() as node, way(node, session) as asked:
        await true(lambda: [stream for stream in node.hub if stream.is_subscribed], "a stream")
        await true(lambda: asked.status in (101, 200), "its header")
        node.hub.end_sessions(7, session if sid_of == "the session" else None)
        await true(lambda: asked.byes, "a bye")

        assert asked.byes == [{"reason": "signed-out", "retry": _HOUR}]


async def test_an_eventsource_is_told_by_retry_not_to_come_back_for_an_hour() -> None:
    session = str(uuid4())
    async with running() as node, connected(node.port) as socket:
        stream = socket.ask(lines(7, sid=session))
        await socket.live(stream)
        node.hub.end_sessions(7, session)
        await socket.until(lambda: stream in socket.client.ended)

        assert b"\n\nretry: 3600000\nevent: bye\n" in socket.client.received[stream]


async def test_a_401_for_whose_body_there_is_no_window_yet_comes_when_there_is() -> None:
    session = str(uuid4())
    async with running() as node, connected(node.port, window=10) as socket:
        node.store.ended.add(session)
        stream = socket.client.request(lines(7, sid=session))
        socket.client.stalled.add(stream)
        socket.flush()
        await socket.until(lambda: len(socket.client.received[stream]) == 10)
        socket.open_window(stream)
        await socket.until(lambda: stream in socket.client.ended)

        assert json.loads(socket.client.received[stream])["error"] == "signed-out"
        await true(lambda: not len(node.hub), "it is forgotten")


async def test_nothing_goes_before_the_header_and_what_the_client_said_meanwhile_is_answered_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "_KNOWN_WITHIN", 60)
    wish = [(":method", "CONNECT"), (":protocol", "websocket"), *lines(7, path="/v1/ws")[1:]]
    async with running() as node, connected(node.port) as socket:
        go_on = _archive_waits(node, monkeypatch)
        stream = socket.ask(wish, end=False)
        socket.client.h2.send_data(stream, _MASKED_PING)
        socket.flush()
        await true(lambda: any(outlet.rest for outlet in node.hub), "a pong waits")  # type: ignore[attr-defined]
        assert stream not in socket.client.headers and not socket.client.received[stream]
        go_on.set()
        await socket.until(lambda: b'"snapshot"' in socket.client.received[stream])

        assert socket.client.received[stream].startswith(b"\x8a\x05early")


@pytest.mark.parametrize("way", ["reset", "lost"])
async def test_a_client_that_leaves_while_its_session_is_asked_for_leaves_nothing(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as node, connected(node.port) as socket:
        go_on = _archive_waits(node, monkeypatch)
        stream = socket.ask(lines(7))
        await true(lambda: len(node.hub), "it is known")
        if way == "reset":
            socket.reset(stream)
        else:
            socket.writer.transport.abort()
        await true(lambda: not len(node.hub) and not node.hub._groups, "it is forgotten")
        go_on.set()


async def test_a_client_of_the_plain_door_that_leaves_before_its_header_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as node, plain(node) as port:
        go_on = _archive_waits(node, monkeypatch)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        given = "".join(f"{name}: {value}\r\n" for name, value in lines(7)[4:])
        writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\n{given}\r\n".encode())
        await true(lambda: len(node.hub), "it is known")
        writer.transport.abort()
        await true(lambda: not len(node.hub), "it is forgotten")
        go_on.set()


def _archive_waits(node: Running, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Redis knows nothing of sessions, and the archive says nothing until this is set."""
    go_on = asyncio.Event()

    async def brief(*_: Any, **__: Any) -> Brief:
        return Brief(is_reachable=False)

    async def is_ended(_uid: int, sid: str) -> AsOf[bool, Cursor]:
        await go_on.wait()
        return AsOf(sid in node.store.ended, await node.store.progress(), "a stand-in")

    monkeypatch.setattr(node.store, "brief", brief)
    monkeypatch.setattr(node.store, "is_ended", is_ended)
    return go_on
