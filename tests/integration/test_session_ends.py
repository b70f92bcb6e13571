"""The second way of a sign-out to the nodes: Redis, told by the API before it answers, on a real Redis (G5)."""

import asyncio
import functools
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from local.process import Process
from store.archive import Archive
from store.feed import Feed
from store.process import cancel
from store.session_ends import SessionEnd, channel_of, listening
from store.sessions import Sessions
from store.timelines import Unknown, open_redis
from store.tokens import Identity
from stream import session_ends
from stream.life import SessionEnded, live
from stream.session_ends import hear_session_ends
from stream.stream import Stream
from tests.integration.conftest import settings_of
from tests.integration.test_wire_coming import CountingArchive
from tests.integration.wire_support import Running, connected, lines, running, true

UID, OTHER = 7, 8
_FAR = 2**31


@dataclass
class World:
    node: Running
    redis: "Redis"
    hearing: "asyncio.Task[None]"

    @property
    def api(self) -> Sessions:
        return Sessions(self.redis, "primary")

    async def listens(self) -> None:
        """The node has subscribed, and asked for what it had missed before."""
        async with asyncio.timeout(20):
            while (await self.redis.pubsub_numsub(channel_of(self.redis)))[0][1] != 1:
                await asyncio.sleep(0.01)

    def open(self, uid: int, sid: str) -> Stream:
        """A stream on the hub, as a door adds it."""
        stream = Stream(uid, sid, _FAR)
        self.node.hub.add(stream)
        return stream


@asynccontextmanager
async def world_on(redis: Process, names: dict[str, object], **settings: Any) -> AsyncIterator[World]:
    url = settings_of(names, redis).redis_url
    async with open_redis(settings_of(names, redis)) as client:
        await client.flushall()
        archive = cast("Archive", CountingArchive({1: 1}))
        stores = (Feed(client, archive), archive, Sessions(client))
        async with running(stores, redis_url=url, **settings) as node:
            hearing = asyncio.create_task(hear_session_ends(node.node))
            world = World(node, client, hearing)
            try:
                await world.listens()
                yield world
                assert not hearing.done(), hearing
            finally:
                await cancel(hearing)


@pytest.fixture
async def world(redis: Process, names: dict[str, object]) -> AsyncIterator[World]:
    async with world_on(redis, names) as made:
        yield made


def has_ended(stream: Stream) -> bool:
    return stream.end is not None


@pytest.mark.parametrize("all_of_the_user", [False, True])
async def test_g5_an_end_that_the_api_tells_redis_of_closes_the_streams_that_are_open(
    world: World, all_of_the_user: bool
) -> None:
    sid, others = str(uuid4()), str(uuid4())
    async with connected(world.node.port) as socket:
        mine = socket.ask(lines(UID, sid=sid))
        second = socket.ask(lines(UID, sid=others))
        stranger = socket.ask(lines(OTHER))
        for stream in (mine, second, stranger):
            await socket.live(stream)
        await world.api.tell_ended([SessionEnd(UID, None if all_of_the_user else sid)], _FAR)
        await socket.until(lambda: socket.events(mine, "bye"))

        assert socket.events(mine, "bye")[0].data["reason"] == "signed-out"
        world.node.publish((UID, "a word that both others hear"), (1, "so does this"))
        await socket.until(lambda: socket.events(stranger, "post"))
        await socket.until(lambda: socket.events(second, "bye" if all_of_the_user else "post"))
        assert not socket.events(stranger, "bye")


async def test_g5_who_was_heard_to_have_ended_is_not_let_in_though_redis_was_emptied_and_the_log_does_not_come(
    world: World,
) -> None:
    sid = str(uuid4())
    async with connected(world.node.port) as socket:
        await socket.live(first := socket.ask(lines(UID, sid=sid)))
        cursor = world.node.ring.cursor()
        await world.api.tell_ended([SessionEnd(UID, sid)], _FAR)
        await socket.until(lambda: socket.events(first, "bye"))
        await world.redis.flushall()
        world.node.node.caught_up_at = time.time()
        for headers in (lines(UID, sid=sid), [*lines(UID, sid=sid), ("last-event-id", cursor)]):
            again = socket.ask(headers)
            await socket.until(partial(socket.client.ended.__contains__, again))
            assert socket.client.headers[again][b":status"] == b"401"


async def test_g5_what_was_told_while_the_node_did_not_listen_is_asked_for_when_it_does(world: World) -> None:
    ended, alive = str(uuid4()), str(uuid4())
    streams = [world.open(UID, ended), world.open(UID, alive)]
    gone = world.open(OTHER, alive)
    await Sessions(world.redis).mark_ended(ended, _FAR)  # marked, and the message lost
    await Sessions(world.redis).mark_all_ended(OTHER, _FAR)
    assert not has_ended(streams[0])
    await world.redis.client_kill_filter(_type="pubsub")

    await true(lambda: streams[0].end and gone.end, "both ends")
    assert (streams[0].end, streams[1].end, gone.end) == ("signed-out", None, "signed-out")


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_g7_a_redis_that_comes_back_is_listened_to_again(
    redis: Process, names: dict[str, object], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with world_on(redis, names) as world:
        stream, sid = world.open(UID, str(uuid4())), str(uuid4())
        other = world.open(OTHER, sid)
        if how == "killed":
            await redis.kill()
        else:
            redis.freeze()
        await true(lambda: "from the log alone" in caplog.text, "the node to know that it hears nothing", 30)
        if how == "killed":
            await redis.start()
        else:
            redis.thaw()
        await world.listens()
        async with asyncio.timeout(30):  # the client's breaker rests for a second
            while other.end is None:
                await world.api.tell_ended([SessionEnd(OTHER, sid)], _FAR)
                await asyncio.sleep(0.05)

        assert (stream.end, other.end) == (None, "signed-out")
        assert caplog.text.count("from the log alone") == 1


async def test_g5_a_node_that_cannot_listen_asks_at_each_heartbeat(
    redis: Process, names: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(_: object) -> None:
        raise Unknown("planted")

    async with world_on(redis, names, heartbeat=1) as world:
        monkeypatch.setattr(session_ends, "listening", deaf)
        await world.redis.client_kill_filter(_type="pubsub")
        for _ in range(2):
            stream = world.open(UID, str(uuid4()))
            await world.api.tell_ended([SessionEnd(UID, stream.sid)], _FAR)
            await true(functools.partial(has_ended, stream), "the end of a stream")


async def test_all_open_sessions_are_asked_for_some_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.sessions._AT_ONCE", 3)
    sessions = [(uid, str(uuid4())) for uid in range(1, 11)]
    await world.api.tell_ended([SessionEnd(*sessions[0]), SessionEnd(*sessions[9])], _FAR)
    await world.api.tell_ended([SessionEnd(5)], _FAR)

    found = await world.api.ended_among(sessions)
    assert found == [SessionEnd(*sessions[n]) for n in (0, 4, 9)]
    assert await world.api.ended_among([]) == []


@pytest.mark.parametrize("door", ["wire", "plain"])
@pytest.mark.parametrize("during", ["brief", "following"])
async def test_g5_an_end_that_is_heard_while_a_stream_is_being_opened_leaves_no_window(
    door: str, during: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis answers that nothing has ended; the end is marked and heard a moment later, while the node waits for an answer."""
    sid = str(uuid4())
    async with running() as node:
        asked = getattr(node.store, during)

        async def interrupted(*args: Any, **rest: Any) -> Any:
            answer = await asked(*args, **rest)
            node.hub.hear_end(UID, sid)
            return answer

        monkeypatch.setattr(node.store, during, interrupted)
        if door == "wire":
            async with connected(node.port) as socket:
                stream = socket.ask(lines(UID, sid=sid))
                await socket.until(lambda: stream in socket.client.ended)
                is_refused = socket.client.headers[stream][b":status"] == b"401"
                said = [] if is_refused else [got.data.get("reason") for got in socket.events(stream, "bye")]
        else:
            identity = Identity(UID, sid, _FAR)
            frames, is_refused = [], False
            try:
                async with aclosing(live(node.node, node.door._meters, identity, None, "plain-sse")) as batches:
                    frames = [frame async for batch in batches for frame in batch]
            except SessionEnded:
                is_refused = True
            said = [json.loads(frame.data).get("reason") for frame in frames if frame.event == "bye"]
        # Nothing has been said to the client yet: it is answered 401, or it has its hello and a bye.
        assert is_refused or said == ["signed-out"]
        assert not len(node.hub)


async def test_nothing_is_heard_of_what_is_no_message_of_ours(world: World, caplog: pytest.LogCaptureFixture) -> None:
    stream = world.open(UID, str(uuid4()))
    await world.redis.publish(channel_of(world.redis), b"\xff rubbish 7:x " + b"8" * 100)
    await world.redis.publish(channel_of(world.redis), b"7:" + stream.sid.encode())
    await true(lambda: stream.end, "the end")

    assert caplog.text.count("channel of ends has") == 4


async def test_a_subscription_is_over_when_redis_does_not_answer_any_more(
    redis: Process, names: dict[str, object]
) -> None:
    settings = settings_of(names, redis)
    async with asyncio.timeout(30):
        async with listening(settings) as ends:
            assert await ends.next() == []
            assert redis.pid is not None
            os.kill(redis.pid, signal.SIGSTOP)
            try:
                with pytest.raises(Unknown):
                    while True:
                        await ends.next()
                with pytest.raises(Unknown):
                    async with listening(settings):
                        pass
            finally:
                os.kill(redis.pid, signal.SIGCONT)


async def test_g8_two_systems_on_one_server_do_not_hear_of_each_other(redis: Process, names: dict[str, object]) -> None:
    async with world_on(redis, names) as world:
        url = settings_of(names, redis).redis_url
        assert url.endswith("/0")
        stream, other_stream = world.open(UID, str(uuid4())), world.open(OTHER, str(uuid4()))
        async with open_redis(settings_of({**names, "redis_url": f"{url[:-1]}1"})) as elsewhere:
            await Sessions(elsewhere, "primary").tell_ended([SessionEnd(UID)], _FAR)
        await world.api.tell_ended([SessionEnd(OTHER)], _FAR)
        await true(lambda: other_stream.end, "the end of ours")

        assert not has_ended(stream)


async def test_a_subscription_that_the_library_makes_anew_is_over(redis: Process, names: dict[str, object]) -> None:
    async with (
        asyncio.timeout(30),
        open_redis(settings_of(names, redis)) as client,
        listening(settings_of(names, redis)) as ends,
    ):
        await client.client_kill_filter(_type="pubsub")
        with pytest.raises(Unknown):
            while True:
                await ends.next()
