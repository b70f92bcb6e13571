"""Bad input on a connection of the wire: it ends with the right code, other connections go on, and nothing of it is kept."""

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from stream.wire import frames
from stream.wire.codes import PREFACE, Code, Flag, Kind
from stream.wire.core import Core
from tests.integration.test_wire_streams import tasks, texts
from tests.integration.wire_peer import NEW, SPEAKING, SPOKEN, STREAMS, Peer, block, speaking, streaming
from tests.integration.wire_support import Running, Socket, connected, lines, running, true
from tests.unit.wire_faults import connection_faults, settings_of, stream_faults, update

_REQUEST = block(lines(99))
_CONNECTION_FAULTS = connection_faults(_REQUEST, NEW)
_STREAM_FAULTS = stream_faults(_REQUEST)
_MOST_KEPT = 100_000  # bytes, after 1,000 streams have come and gone; each takes more than one KB while it is there


@pytest.fixture
async def node(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """One for which no time passes while a peer floods it, and which lets go at once of who does not take its last words."""
    monkeypatch.setattr(Core, "tick", lambda _: None)
    monkeypatch.setattr("stream.wire.control.MAX_OPENED", 1000)  # 16,384 take seconds
    monkeypatch.setattr("stream.wire.link._CLOSE_WITHIN", 0.05)
    async with running() as node:
        yield node


@pytest.fixture
async def other(node: Running) -> AsyncIterator[Socket]:
    """A second connection, with a stream that is live."""
    async with connected(node.port) as socket:
        await socket.live(socket.ask(lines(7)))
        yield socket


def kept(node: Running) -> tuple[int, ...]:
    """What there is of streams, users, connections and tasks."""
    hub = node.hub
    links = sum(not link.closed for link in node.door._links)
    return len(hub), len(hub._by_user), len(hub._groups), links, tasks()


async def hears_next(node: Running, other: Socket) -> None:
    before = len(other.events(1, "post"))
    node.publish((1, "on"))
    await other.until(lambda: texts(other.events(1, "post"))[before:] == ["on"])


async def offend(node: Running, name: str) -> Peer:
    """The peer, when its connection has ended; one that must not end it is answered first."""
    data, code = _CONNECTION_FAULTS[name]
    async with streaming(node.port) as peer:
        peer.say(data)
        if code is None:
            peer.say(frames.frame(Kind.PING, 0, 0, bytes(8)))
            await peer.until(lambda: peer.pongs)
        else:
            await peer.until(peer.closed.is_set)
    return peer


@pytest.mark.parametrize("name", _CONNECTION_FAULTS)
async def test_the_connection_ends_with_the_right_code_the_other_goes_on_and_nothing_is_kept(
    node: Running, other: Socket, name: str
) -> None:
    before = kept(node)

    peer = await offend(node, name)

    code = _CONNECTION_FAULTS[name][1]
    assert peer.went_away == ([] if code is None else [code])
    await hears_next(node, other)
    await true(lambda: kept(node) == before, f"{before}, and it is {kept(node)}")


@pytest.mark.parametrize("name", _STREAM_FAULTS)
async def test_the_stream_ends_with_the_right_code_and_the_others_of_its_connection_go_on(
    node: Running, other: Socket, name: str
) -> None:
    sid, data, code = _STREAM_FAULTS[name]
    before = kept(node)
    async with streaming(node.port) as peer:
        peer.say(data)
        await peer.until(lambda: peer.resets)
        await true(lambda: len(node.hub) == STREAMS, "one stream less")
        node.publish((1, "to the others"))
        rest = [one for one in peer.received if one != sid]
        await peer.until(lambda: all(b"to the others" in peer.received[one] for one in rest))

        assert peer.resets == {sid: code} and not peer.went_away
        assert b"to the others" not in peer.received[sid]
    await hears_next(node, other)
    await true(lambda: kept(node) == before, "nothing of it is kept")


async def test_what_was_allocated_for_those_who_broke_the_protocol_is_given_back(
    node: Running, other: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(
        logging.ERROR, "stream.wire.link"
    )  # records that pytest keeps would keep the fault, and so the link
    before = kept(node)

    async def once_each() -> int:
        for name in _CONNECTION_FAULTS:
            await offend(node, name)
        await true(lambda: kept(node) == before and len(node.door._links) == 1, "nothing is kept")
        await asyncio.sleep(0.1)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        held = [await once_each(), await once_each()]
        # Other tests' servers are in this process, too: they may keep something once, what leaks here does so each time.
        while held[-1] - held[-2] >= _MOST_KEPT and len(held) < 6:
            held.append(await once_each())
    finally:
        tracemalloc.stop()

    assert held[-1] - held[-2] < _MOST_KEPT, held


_WHOLE = {
    "the greeting": b"",
    "DATA": frames.data(SPEAKING, b"some"),
    "DATA with padding": frames.frame(Kind.DATA, Flag.PADDED, SPEAKING, b"\x02some\0\0"),
    "HEADERS": frames.headers(NEW, _REQUEST, True),
    "HEADERS and CONTINUATION": frames.frame(Kind.HEADERS, Flag.END_STREAM, NEW, _REQUEST[:9])
    + frames.frame(Kind.CONTINUATION, Flag.END_HEADERS, NEW, _REQUEST[9:]),
    "trailers": frames.headers(SPEAKING, block([("x-more", "y")]), True),
    "PRIORITY": frames.frame(Kind.PRIORITY, 0, SPOKEN, bytes(5)),
    "RST_STREAM": frames.reset(SPOKEN, Code.CANCEL),
    "SETTINGS": settings_of((4, 100_000), (3, 100)),
    "PING": frames.frame(Kind.PING, 0, 0, bytes(8)),
    "GOAWAY": frames.go_away(0, Code.NO_ERROR, "bye"),
    "WINDOW_UPDATE": update(SPOKEN, 100),
    "a frame of no known kind": frames.frame(0xBE, 0xEF, SPOKEN, b"what"),
}


@pytest.mark.parametrize("name", _WHOLE)
async def test_a_connection_that_ends_in_the_middle_of_a_frame_leaves_nothing(
    node: Running, other: Socket, name: str
) -> None:
    whole, before = _WHOLE[name], kept(node)

    async def cut(at: int) -> None:
        async with streaming(node.port, 2) as peer:
            peer.say(whole[:at])
            peer.writer.write_eof()
            await peer.until(peer.closed.is_set)
            assert not peer.went_away

    async def cut_greeting(at: int) -> None:
        async with speaking(node.port) as peer:
            peer.say((PREFACE + frames.settings({}))[:at])
            peer.writer.write_eof()
            await peer.until(peer.closed.is_set)

    cuts = [cut(at) for at in range(len(whole) + 1)] if whole else [cut_greeting(at) for at in range(len(PREFACE) + 9)]
    for some in range(0, len(cuts), 15):  # all are of the same few users, who may have 20 streams each
        await asyncio.gather(*cuts[some : some + 15])
    await hears_next(node, other)
    await true(lambda: kept(node)[:4] == before[:4] and tasks() <= before[-1], "nothing of them is kept")


@pytest.mark.parametrize(
    "flood",
    [frames.frame(Kind.PING, 0, 0, bytes(8)), settings_of((4, 65535)), frames.frame(Kind.PRIORITY, 0, 1, bytes(5))],
    ids=["PING", "SETTINGS", "PRIORITY"],
)
async def test_a_flood_that_goes_on_ends_the_connection_while_the_node_ticks_and_others_are_served(
    flood: bytes,
) -> None:
    async with running() as node, connected(node.port) as other:
        await other.live(other.ask(lines(7)))
        async with streaming(node.port) as peer:
            while not peer.closed.is_set():
                peer.say(flood * 2000)
                await hears_next(node, other)

    assert peer.went_away in ([], [Code.ENHANCE_YOUR_CALM])  # its last words are lost where more had come than was read
