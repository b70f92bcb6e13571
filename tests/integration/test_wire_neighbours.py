"""What one stream or one connection of the wire does costs no other anything: G4 and G5 where it is easy to get wrong."""

import asyncio
import time
from uuid import uuid4

import pytest

from store.events import EventType
from store.settings import SettingsError
from stream.inbound import Violation
from stream.wire import stile, ticks
from stream.wire.codes import Code
from stream.wire.door import Door
from stream.wire.link import Link
from stream.wire.voice import Voice
from tests.integration.test_wire_streams import texts
from tests.integration.wire_support import Running, Socket, connected, lines, running, true

TWO_CURSORS = [("last-event-id", "a"), ("last-event-id", "b")]


async def test_a_request_with_more_arguments_than_anybody_needs_is_a_request() -> None:
    async with running() as node, connected(node.port) as socket:
        neighbour = socket.ask(lines(8))
        await socket.live(neighbour)
        many = socket.ask(lines(7, path="/v1/stream?" + "&" * 2000 + "cursor=garbage"))
        got = await socket.live(many)
        node.publish((1, "on"))
        await socket.until(lambda: socket.events(neighbour, "post"))

        assert [frame.event for frame in got] == ["hello", "gap", "snapshot"]


async def test_a_fault_of_ours_in_one_request_ends_that_one_and_no_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as node, connected(node.port) as socket:
        neighbour = socket.ask(lines(8))
        await socket.live(neighbour)

        def fail(*_: object) -> None:
            raise KeyError("planted")

        monkeypatch.setattr(Door, "_open", fail)
        ill = socket.ask(lines(7))
        await socket.until(lambda: socket.client.resets.get(ill))
        node.publish((1, "on"))
        await socket.until(lambda: socket.events(neighbour, "post"))

        assert socket.client.resets[ill] == Code.INTERNAL_ERROR
        assert len(node.hub) == 1


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(lines(7), id="a stream"),
        pytest.param(lines(7, path="/nowhere"), id="what is not there"),
        pytest.param([*lines(7), *TWO_CURSORS], id="two cursors"),
        pytest.param(lines(9), id="one stream too many"),
    ],
)
async def test_a_request_that_is_taken_back_in_the_same_breath_costs_no_neighbour_anything(
    asked: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(streams_per_user=1) as node, connected(node.port) as socket:
        neighbour = socket.ask(lines(9))
        await socket.live(neighbour)
        taken_back = socket.client.request(asked)
        socket.reset(taken_back)
        node.publish((1, "on"))
        await socket.until(lambda: socket.events(neighbour, "post"))

        assert caplog.records == []
        assert len(node.hub) == 1


async def filled(node: Running, socket: Socket) -> Link:
    """The link of twenty streams on this connection, of which nobody reads any more, until its transport is full."""
    for sid in [socket.ask(lines(uid)) for uid in range(10, 30)]:
        await socket.live(sid)
    (link,) = [link for link in node.door._links if link.outlets]
    socket.writer.transport.pause_reading()  # type: ignore[attr-defined]
    while link.paused_since is None:
        node.publish((1, "x" * 60_000))
        await asyncio.sleep(0)
    return link


async def test_a_connection_of_which_the_edge_takes_nothing_is_ended_whoever_is_quiet_on_it() -> None:
    """Heartbeats for streams to which nothing happens would look as if the edge had taken something."""
    async with running(heartbeat=1) as node, connected(node.port, window=2**24) as socket:
        node.node.settings = node.node.settings.model_copy(update={"slow_after": 2})
        for uid in range(20, 30):
            node.store.follows[uid] = {}
        link = await filled(node, socket)
        held = link._transport.get_write_buffer_size()
        held_at_most = 0

        def is_ended() -> bool:
            nonlocal held_at_most
            held_at_most = max(held_at_most, link._transport.get_write_buffer_size())
            return not len(node.hub)

        await true(is_ended, "all streams of the connection are freed", seconds=8)

        assert held_at_most <= held


async def test_a_connection_that_fills_before_it_was_ever_looked_at_is_not_taken_for_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.wire.door._TICK", 60)
    async with running() as node, connected(node.port, window=2**24) as socket:
        link = await filled(node, socket)
        ticks.tick(link)

        assert len(node.hub) == 20


async def test_a_snapshot_larger_than_a_window_goes_out_as_the_window_opens_and_not_at_the_next_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.wire.door._TICK", 60)
    async with running() as node, connected(node.port, window=2000) as socket:
        node.store.items = [b'{"id":"%d","text":"%s"}' % (n, b"x" * 500) for n in range(50)]
        node.store.page_takes = 0.3  # so that nothing else moves on the connection any more
        sid = socket.ask(lines(7))
        await socket.live(sid)

        assert len(socket.events(sid, "snapshot")[0].data["items"]) == 50


async def test_links_that_have_long_turns_leave_the_loop_to_others_in_between() -> None:
    passed: list[str] = []

    class Slow:
        def turn(self) -> None:
            time.sleep(stile._AT_ONCE * 1.5)
            passed.append("turn")

    gate = stile.Stile()
    for _ in range(5):
        gate.ask(Slow())
    while passed.count("turn") < 5:
        passed.append("others")
        await asyncio.sleep(0)

    assert "turn turn" not in " ".join(passed)


async def test_a_fan_out_too_large_for_one_turn_reaches_everybody_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.wire.turns._DELIVERIES", 30)
    async with running() as node, connected(node.port, window=3000) as socket:
        sids = [socket.ask(lines(uid)) for uid in range(10, 20)]
        for sid in sids:
            await socket.live(sid)
        socket.client.stalled.add(sids[3])
        node.publish(*[(1 + n % 2, f"{n} " + "x" * 200) for n in range(40)])
        node.follow(11, 5, 9)
        node.publish(*[(1 + n % 2, f"{n} " + "x" * 200) for n in range(40, 60)], (5, "60"))
        (link,) = [link for link in node.door._links if link.outlets]
        assert link.lags
        for sid in sids:
            socket.open_window(sid)
            await socket.until(lambda sid=sid: len(socket.events(sid, "post")) >= 60 + (sid == sids[1]))  # type: ignore[misc]

        for sid in sids:
            numbers = [text.split()[0] for text in texts(socket.events(sid, "post"))]
            assert numbers == [f"{n}" for n in range(61 if sid == sids[1] else 60)]


async def test_g5_a_stream_whose_client_takes_nothing_ends_with_its_session_all_the_same() -> None:
    async with running() as node, connected(node.port, window=2000) as socket:
        session = str(uuid4())
        sid = socket.ask(lines(7, sid=session))
        await socket.live(sid)
        socket.client.stalled.add(sid)
        node.publish(*[(1, "x" * 900) for _ in range(10)])
        await true(lambda: all(stream.writing_since for stream in node.hub), "its window is shut")
        node.publish((7, ""), type=EventType.LOGOUT, sid=session)
        await true(lambda: not len(node.hub), "it is gone", seconds=3)
        await socket.until(lambda: sid in socket.client.resets)


async def test_g5_a_stream_whose_client_takes_nothing_of_its_snapshot_ends_with_its_token_all_the_same() -> None:
    async with running() as node, connected(node.port, window=2000) as socket:
        node.store.items = [b'{"id":"%d","text":"%s"}' % (n, b"x" * 1000) for n in range(50)]
        sid = socket.client.request(lines(7, exp=int(time.time()) + 2))
        socket.client.stalled.add(sid)
        socket.flush()
        await true(lambda: any(stream.writing_since for stream in node.hub), "its window is shut")
        await true(lambda: not len(node.hub), "it is gone", seconds=5)


async def test_g3_what_a_follow_brings_comes_once_to_a_client_that_is_ahead_of_its_node() -> None:
    async with running() as node, connected(node.port) as socket:
        node.store.follows[7] = {2: 1}
        sid = socket.ask([*lines(7), ("last-event-id", node.ring.cursor([0, 0, 9]))])
        await socket.until(lambda: socket.resumed(sid))
        (outlet,) = node.hub
        await true(lambda: outlet.group and outlet.group.trailing, "it is known to be ahead")  # type: ignore[attr-defined]
        # One batch, in which the follow is older than what the followee does, and seen later.
        before = node.made(7, EventType.FOLLOW, id=3, username="x", seq=5)
        await asyncio.sleep(0.002)
        after = node.made(3, text="hi")
        node.deliver(after, before)
        await socket.until(lambda: socket.events(sid, "follow"))
        node.publish((3, "the next"))
        await socket.until(lambda: "the next" in texts(socket.events(sid, "post")))

        assert texts(socket.events(sid, "post")) == ["hi", "the next"]


def test_pieces_of_a_message_without_a_byte_are_not_collected_for_ever() -> None:
    voice, piece = Voice(), b"\x00\x80" + bytes(4)
    assert list(voice.hear(b"\x01\x80" + bytes(4))) == []

    with pytest.raises(Violation):
        for _ in range(20_000):
            assert list(voice.hear(piece)) == []


async def test_a_port_that_is_taken_is_named_with_the_remedy() -> None:
    async with running() as node:
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{node.port}.*free"):
            async with running(stream_wire_bind=f"127.0.0.1:{node.port}"):
                pass
