"""The wire door of a node, over a socket: G4 on one shared connection, and nothing kept of what is over."""

import asyncio
import time
from typing import Any, cast
from uuid import uuid4

import pytest
from quart import Quart

from store.events import EventType
from stream.app import drained
from stream.inbound import Violation
from stream.plain import BoundedWebsocket
from stream.ring import Ring
from stream.wire.outlet import Outlet
from tests.e2e.people import Got
from tests.integration.wire_support import connected, lines, running, true


def texts(received: list[Got]) -> list[str]:
    return [got.data["object"]["text"] for got in received]


def tasks() -> int:
    return len(asyncio.all_tasks())


async def test_a_stream_begins_with_hello_and_snapshot_and_goes_on_live() -> None:
    async with running() as node, connected(node.port) as socket:
        node.store.items = [b'{"id":"newest"}', b'{"id":"older"}']
        sid = socket.ask(lines(7))
        await socket.live(sid)
        node.publish((1, "one"), (3, "not followed"), (2, "two"))
        node.publish((7, "mine"))
        await socket.until(lambda: len(socket.events(sid, "post")) == 3)

        hello, snapshot, *posts = socket.events(sid)
        assert socket.client.headers[sid][b"content-type"].startswith(b"text/event-stream")
        assert hello.event == "hello" and hello.data["userId"] == 7 and hello.data["resumed"] is False
        assert [item["id"] for item in snapshot.data["items"]] == ["newest", "older"]
        assert texts(posts) == ["one", "two", "mine"]
        assert posts[-1].id == node.ring.cursor()


@pytest.mark.parametrize(("cursor", "reason"), [("garbage", "malformed"), ("AQAAAAAF", "epoch")])
@pytest.mark.parametrize("by", ["header", "query"])
async def test_a_cursor_that_says_nothing_gets_a_gap_and_then_a_snapshot(by: str, cursor: str, reason: str) -> None:
    async with running() as node, connected(node.port) as socket:
        if by == "header":
            sid = socket.ask([*lines(7), ("last-event-id", cursor)])
        else:
            sid = socket.ask(lines(7, path=f"/v1/stream?cursor={cursor}"))
        got = await socket.live(sid)

        assert [frame.event for frame in got] == ["hello", "gap", "snapshot"]
        assert got[1].data["reason"] == reason and got[1].data["from"] == cursor


async def test_a_client_that_comes_back_gets_what_it_missed_once_and_in_order() -> None:
    async with running() as node:
        async with connected(node.port) as first:
            sid = first.ask(lines(7))
            await first.live(sid)
            node.publish((1, "seen"))
            await first.until(lambda: first.events(sid, "post"))
            cursor = first.events(sid, "post")[0].id or ""
        for n in range(300):
            node.publish((1, f"missed {n}"))
        async with connected(node.port, window=3000) as second:
            sid = second.ask([*lines(7), ("last-event-id", cursor)])
            await second.live(sid)
            node.publish((1, "live"))
            await second.until(lambda: len(second.events(sid, "post")) >= 301)

            assert texts(second.events(sid, "post")) == [*[f"missed {n}" for n in range(300)], "live"]
            assert [frame.event for frame in second.events(sid)][:2] == ["hello", "post"]


async def test_several_events_of_a_batch_are_one_frame_on_the_wire() -> None:
    async with running() as node, connected(node.port) as socket:
        sids = [socket.ask(lines(uid)) for uid in range(10, 20)]
        for sid in sids:
            await socket.live(sid)
        before = socket.client.data_frames
        node.publish(*[(1 + n % 2, f"{n}") for n in range(20)])
        for sid in sids:
            await socket.until(lambda sid=sid: len(socket.events(sid, "post")) == 20)  # type: ignore[misc]

        assert socket.client.data_frames - before == len(sids)


async def test_one_stalled_stream_of_a_thousand_holds_up_nobody_and_is_caught_up_when_it_opens() -> None:
    at_rest = tasks()
    async with running(slow_after=60) as node, connected(node.port) as socket:
        sids = [socket.ask(lines(uid)) for uid in range(1000, 2000)]
        await socket.until(lambda: all(socket.events(sid, "snapshot") for sid in sids), seconds=30)
        await true(lambda: tasks() < at_rest + 20, "no task for a stream that is live")
        stalled = sids[500]
        socket.client.stalled.add(stalled)
        for n in range(40):
            node.publish((1, f"{n} " + "x" * 4000))
            await asyncio.sleep(0)
        others = [sid for sid in sids if sid != stalled]

        await socket.until(
            lambda: all(socket.client.received[sid].count(b"event: post") == 40 for sid in others), seconds=60
        )
        for sid in others[::50]:
            assert [text.split()[0] for text in texts(socket.events(sid, "post"))] == [f"{n}" for n in range(40)]
        assert len(socket.events(stalled, "post")) < 40
        (outlet,) = node.hub.of_user(1500)
        assert outlet.place is not None and outlet.writing_since is not None
        socket.open_window(stalled)
        await socket.until(lambda: len(socket.events(stalled, "post")) == 40)

        assert [text.split()[0] for text in texts(socket.events(stalled, "post"))] == [f"{n}" for n in range(40)]
        await true(lambda: outlet.place is None and outlet.writing_since is None, "live again")


async def test_what_happens_while_the_last_bytes_of_a_catch_up_wait_for_the_window_is_not_missed() -> None:
    async with running(slow_after=60) as node, connected(node.port, window=2000) as socket:
        sid = socket.ask(lines(7))
        await socket.live(sid)
        said = []
        for size in range(300, 700, 20):  # the events fit the window and their frames don't, for some of these
            socket.client.stalled.add(sid)
            said += [f"{size} {n} " + "x" * size for n in range(3)]
            node.publish(*((1, text) for text in said[-3:]))
            await asyncio.sleep(0.02)
            said.append(f"{size} meanwhile")
            node.publish((1, said[-1]))
            await asyncio.sleep(0.02)
            socket.open_window(sid)
            count = len(said)
            await socket.until(lambda count=count: len(socket.events(sid, "post")) >= count)  # type: ignore[misc]

        assert texts(socket.events(sid, "post")) == said


async def test_a_reader_who_takes_nothing_is_reset_after_a_while_and_the_others_stay() -> None:
    async with running(slow_after=5, heartbeat=45) as node, connected(node.port) as socket:
        slow, other = socket.ask(lines(7)), socket.ask(lines(8))
        await socket.live(slow)
        await socket.live(other)
        socket.client.stalled.add(slow)
        for _ in range(20):
            node.publish((1, "x" * 5000))

        await socket.until(lambda: slow in socket.client.resets, seconds=15)
        assert [stream.uid for stream in node.hub] == [8]
        node.publish((1, "on"))
        await socket.until(lambda: texts(socket.events(other, "post"))[-1] == "on")


@pytest.mark.parametrize("way", ["SSE", "WebSocket"])
async def test_a_reader_whom_the_ring_has_left_behind_is_told_so_when_it_reads_again(way: str) -> None:
    wish = [(":method", "CONNECT"), (":protocol", "websocket"), *lines(7, path="/v1/ws")[1:]]
    async with running(slow_after=60) as node, connected(node.port, window=2000) as socket:
        node.node.ring = node.hub._ring = Ring(node.ring.epoch, [0, 0, 0], seconds=600, max_bytes=20_000)
        sid = socket.ask(lines(7)) if way == "SSE" else socket.ask(wish, end=False)
        await socket.until(lambda: b"snapshot" in socket.client.received[sid])
        socket.client.stalled.add(sid)
        for n in range(30):
            node.publish((1, f"{n} " + "x" * 1000))
            await asyncio.sleep(0)
        socket.open_window(sid)
        await socket.until(lambda: sid in socket.client.ended)

        last = socket.client.received[sid]
        assert b'"reason":"slow"' in last[-200:] and b'"29 x' not in last
        assert len(node.hub) == 0


async def test_a_heartbeat_comes_with_the_cursor_of_what_was_delivered() -> None:
    async with running(heartbeat=1) as node, connected(node.port) as socket:
        sids = [socket.ask(lines(uid)) for uid in (7, 8)]
        for sid in sids:
            await socket.live(sid)
        node.publish((5, "of somebody else"))
        for sid in sids:
            await socket.until(lambda sid=sid: len(socket.events(sid, "heartbeat")) >= 2)  # type: ignore[misc]
            assert socket.events(sid, "heartbeat")[-1].id == node.ring.cursor()


async def test_expiry_is_announced_and_ends_the_stream_within_a_second() -> None:
    async with running() as node, connected(node.port) as socket:
        exp = int(time.time()) + 3
        sid = socket.ask(lines(7, exp=exp))
        await socket.until(lambda: sid in socket.client.ended)

        assert exp - 0.1 <= time.time() <= exp + 1
        assert [frame.event for frame in socket.events(sid)] == ["hello", "snapshot", "expiring", "bye"]
        assert socket.events(sid)[-1].data["reason"] == "expired"


async def test_a_newer_token_prolongs_the_session_s_streams() -> None:
    async with running() as node, connected(node.port) as socket:
        session, exp = str(uuid4()), int(time.time()) + 3
        sid = socket.ask(lines(7, sid=session, exp=exp))
        await socket.live(sid)
        assert node.hub.renew(7, session, exp + 600) == 1

        await asyncio.sleep(max(0.0, exp - time.time()) + 1.2)
        assert sid not in socket.client.ended and len(node.hub) == 1


async def test_sign_out_ends_the_session_s_streams_after_what_came_before() -> None:
    async with running() as node, connected(node.port) as socket:
        session = str(uuid4())
        ended, other = socket.ask(lines(7, sid=session)), socket.ask(lines(7))
        await socket.live(ended)
        await socket.live(other)
        node.publish((1, "last"))
        node.publish((7, ""), type=EventType.LOGOUT, sid=session)
        await socket.until(lambda: ended in socket.client.ended)

        assert [frame.event for frame in socket.events(ended)][2:] == ["post", "logout", "bye"]
        assert socket.events(ended)[-1].data["reason"] == "signed-out"
        assert other not in socket.client.ended and len(node.hub) == 1


async def test_follow_and_unfollow_take_effect_in_the_batch_in_which_they_come() -> None:
    async with running() as node, connected(node.port) as socket:
        node.store.follows[7] = {}
        sid = socket.ask(lines(7))
        await socket.live(sid)
        node.publish((4, "before"))
        node.follow(7, 4, 1)
        node.publish((4, "followed"))
        await socket.until(lambda: len(socket.events(sid)) == 4)
        node.follow(7, 4, 2, on=False)
        node.publish((4, "after"), (7, "mine"))
        await socket.until(lambda: len(socket.events(sid)) == 6)

        assert [frame.event for frame in socket.events(sid)][2:] == ["follow", "post", "unfollow", "post"]
        assert texts(socket.events(sid, "post")) == ["followed", "mine"]


async def test_too_many_streams_of_a_user_get_a_bye() -> None:
    async with running(streams_per_user=2) as node, connected(node.port) as socket:
        first = [socket.ask(lines(7)) for _ in range(2)]
        third = socket.ask(lines(7))
        await socket.until(lambda: third in socket.client.ended)

        assert [(frame.event, frame.data["reason"]) for frame in socket.events(third)] == [("bye", "too-many")]
        assert not socket.client.ended & set(first) and len(node.hub) == 2


async def test_a_store_that_is_away_ends_the_opening_with_a_reason() -> None:
    async with running() as node, connected(node.port) as socket:
        node.store.unavailable = True
        sid = socket.ask(lines(7))
        await socket.until(lambda: sid in socket.client.ended)

        assert [(frame.event, frame.data["reason"]) for frame in socket.events(sid)] == [("bye", "unavailable")]
        assert len(node.hub) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"x-edge-secret": "a guess of 16 chars"},
        {"x-user-id": "0"},
        {"x-user-id": "7, 8"},
        {"x-session-id": "x"},
        {"x-token-exp": None},
        {"x-edge-secret": None},
    ],
)
async def test_nobody_gets_a_stream_without_the_edge(change: dict[str, str | None]) -> None:
    async with running() as node, connected(node.port) as socket:
        headers = [(name, change.get(name, value)) for name, value in lines(7)]
        sid = socket.ask([(name, value) for name, value in headers if value is not None])
        twice = socket.ask([*lines(7), ("x-user-id", "8")])
        await socket.until(lambda: {sid, twice} <= socket.client.ended)

        assert socket.client.headers[sid][b":status"] == socket.client.headers[twice][b":status"] == b"403"
        assert len(node.hub) == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/v1/feed"), ("POST", "/v1/stream"), ("GET", "/v1/ws"), ("GET", "/metrics")],
)
async def test_everything_else_belongs_to_the_plain_door(method: str, path: str) -> None:
    async with running() as node, connected(node.port) as socket:
        sid = socket.ask([(":method", method), *lines(7, path=path)[1:]])
        await socket.until(lambda: sid in socket.client.ended)

        assert socket.client.headers[sid][b":status"] == b"404"


async def test_reset_and_loss_of_a_connection_free_every_stream_and_task_at_once() -> None:
    async with running() as node:
        before = tasks()
        async with connected(node.port) as socket, connected(node.port) as other:
            kept = other.ask(lines(5))
            await other.live(kept)
            sids = [socket.ask(lines(uid)) for uid in range(100, 200)]
            await socket.until(lambda: all(socket.events(sid, "snapshot") for sid in sids))
            assert len(node.hub) == 101
            for sid in sids[:40]:
                socket.reset(sid)
            await true(lambda: len(node.hub) == 61, "40 streams are freed")
            opening = [socket.ask(lines(uid)) for uid in range(300, 320)]
            for sid in opening:
                socket.reset(sid)
            await true(lambda: len(node.hub) == 61, "those that were opening, too")
            socket.writer.transport.abort()
            await true(lambda: len(node.hub) == 1, "the others go with their connection")
            node.publish((1, "on"))
            await other.until(lambda: other.events(kept, "post"))
        await true(lambda: not len(node.hub) and not node.hub._groups and not node.hub._by_user, "all is forgotten")
        await true(lambda: tasks() <= before, "no task is left")


async def test_draining_asks_for_no_more_streams_and_ends_those_that_are_open_with_a_reason() -> None:
    async with running(drain=1) as node, connected(node.port) as socket:
        sids = [socket.ask(lines(uid)) for uid in range(100, 160)]
        await socket.until(lambda: all(socket.events(sid, "snapshot") for sid in sids))
        node.door.go_away()
        await drained(node.node)
        await socket.until(lambda: socket.client.ended >= set(sids))

        assert socket.client.went_away == [0]
        assert {socket.events(sid)[-1].data["reason"] for sid in sids} == {"drain"}


async def test_a_client_ahead_of_the_node_is_live_without_a_gap_when_the_node_has_come_as_far() -> None:
    async with running() as node, connected(node.port) as socket:
        node.publish((1, "had"), (5, "had not seen here"))
        ahead = node.ring.cursor([9, 0, 9])
        sid = socket.ask([*lines(7), ("last-event-id", ahead)])
        await socket.live(sid)
        node.publish((2, "skipped, the client has it"), (1, "new"))
        await socket.until(lambda: socket.events(sid, "post"))
        await asyncio.sleep(0.1)

        posts = socket.events(sid, "post")
        assert texts(posts) == ["new"]


async def test_a_client_that_the_node_does_not_reach_in_time_gets_a_gap_then_and_not_at_the_next_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.lifecycle.AHEAD_AT_MOST", 1.0)
    async with running() as node, connected(node.port) as socket:
        sid = socket.ask([*lines(7), ("last-event-id", node.ring.cursor([9, 9, 9]))])
        await socket.until(lambda: socket.events(sid, "snapshot"), seconds=5)

        assert [frame.event for frame in socket.events(sid)] == ["hello", "gap", "snapshot"]
        assert socket.events(sid)[1].data["reason"] == "ahead"


async def test_a_frame_larger_than_every_window_arrives_whole_in_pieces() -> None:
    async with running() as node, connected(node.port, window=1000) as socket:
        sids = [socket.ask(lines(uid)) for uid in (7, 8)]
        for sid in sids:
            await socket.live(sid)
        node.publish((1, "x" * 60_000))
        node.publish((1, "next"))
        for sid in sids:
            await socket.until(lambda sid=sid: len(socket.events(sid, "post")) == 2)  # type: ignore[misc]
            assert [len(text) for text in texts(socket.events(sid, "post"))] == [60_000, 4]


async def test_a_stream_that_is_over_before_it_is_opened_leaves_nothing_even_if_its_cancellation_is_swallowed() -> None:
    async with running() as node, connected(node.port) as socket:
        stays = socket.ask(lines(8))
        await socket.live(stays)
        node.store.deaf_for = 0.2
        sids = [socket.ask(lines(uid)) for uid in range(10, 20)]
        await true(lambda: len(node.hub) == 11, "all are known")
        for sid in sids:
            socket.reset(sid)
        await true(lambda: len(node.hub) == 1, "and forgotten")
        await asyncio.sleep(0.3)
        node.publish((1, "on"), (15, "of one that is gone"))
        await socket.until(lambda: socket.events(stays, "post"))

        (link,) = [link for link in node.door._links if link.outlets]
        assert len(link.sse) == 3 and texts(socket.events(stays, "post")) == ["on"]


async def test_a_turn_that_fails_ends_the_connection_so_that_everybody_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as node, connected(node.port) as socket:
        sid = socket.ask(lines(8))
        await socket.live(sid)

        def fail(*_: object) -> int:
            raise KeyError("planted")

        monkeypatch.setattr("stream.wire.turns.spread", fail)
        node.publish((1, "lost, if the stream stayed"))
        await true(lambda: socket.closed or socket.reader.exception(), "the connection is ended")

        assert len(node.hub) == 0


async def test_a_connection_that_is_not_read_falls_behind_as_a_whole_holds_up_no_other_and_is_caught_up() -> None:
    async with running() as node, connected(node.port, window=2**24) as slow, connected(node.port) as quick:
        sids = [slow.ask(lines(uid)) for uid in range(10, 20)]
        other = quick.ask(lines(5))
        for sid in sids:
            await slow.live(sid)
        await quick.live(other)
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for n in range(400):
            node.publish((1, f"{n} " + "x" * 5000))
            await asyncio.sleep(0.001)
        await quick.until(lambda: quick.client.received[other].count(b"event: post") == 400)
        (link,) = [link for link in node.door._links if len(link.outlets) == 10]
        assert link.paused_since is not None and link._transport.get_write_buffer_size() < 6 * 2**20

        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for sid in sids:
            await slow.until(lambda sid=sid: slow.client.received[sid].count(b"event: post") == 400)  # type: ignore[misc]
            assert [text.split()[0] for text in texts(slow.events(sid, "post"))] == [f"{n}" for n in range(400)]


async def test_pings_of_a_client_that_reads_nothing_are_not_kept_for_it() -> None:
    wish = [(":method", "CONNECT"), (":protocol", "websocket"), *lines(7, path="/v1/ws")[1:]]
    ping = b"\x89\xfd" + bytes(4) + b"p" * 125
    async with running() as node, connected(node.port, window=2000) as socket:
        sid = socket.ask(wish, end=False)
        await socket.until(lambda: b'"snapshot"' in socket.client.received[sid])
        socket.client.stalled.add(sid)
        (outlet,) = node.hub
        assert isinstance(outlet, Outlet)
        for _ in range(40):
            socket.client.h2.send_data(sid, ping * 100)
            socket.flush()
            await socket.until(lambda: socket.client.h2.local_flow_control_window(sid) > 25_600)

        assert 1000 < len(outlet.rest) < 20_000
        socket.open_window(sid)
        await true(lambda: not outlet.rest, "what waited has gone")


async def test_what_a_client_says_while_an_answer_is_waited_for_is_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("stream.inbound.Inbound.answer_to", hangs)
    wish = [(":method", "CONNECT"), (":protocol", "websocket"), *lines(7, path="/v1/ws")[1:]]
    said = b"\x81\xfe" + (8000).to_bytes(2, "big") + bytes(4) + b"x" * 8000
    async with running() as node, connected(node.port) as socket:
        sid = socket.ask(wish, end=False)
        await socket.until(lambda: b'"snapshot"' in socket.client.received[sid])
        (outlet,) = node.hub
        assert isinstance(outlet, Outlet) and outlet.conversation is not None
        conversation = outlet.conversation
        for number in range(1, 5):
            socket.client.h2.send_data(sid, said)
            socket.flush()
            await true(lambda number=number: len(conversation._waiting) >= min(number, 3), "it is heard")  # type: ignore[misc]

        assert [len(one) if isinstance(one, str) else one for one in conversation._waiting[:2]] == [8000, 8000]
        assert isinstance(conversation._waiting[2], Violation) and len(conversation._waiting) == 3


async def test_the_plain_door_reads_no_more_of_a_websocket_than_a_few_messages_before_they_are_answered() -> None:
    read = 0

    async def receive() -> dict[str, str]:
        nonlocal read
        read += 1
        return {"type": "websocket.receive", "text": "x" * 16_000}

    reading = asyncio.create_task(
        BoundedWebsocket(Quart(__name__), cast("Any", {})).handle_messages(cast("Any", receive))
    )
    for _ in range(200):
        await asyncio.sleep(0)
    reading.cancel()

    assert read == 5
