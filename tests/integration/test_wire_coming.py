"""Coming and coming back, on a real Redis and an archive that counts what it is asked: G3 and G5 at the opening of a stream."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from local.process import Process
from store.archive import Archive, ArchiveUnavailable
from store.archive_reads import Kept
from store.as_of import AsOf
from store.cursor import Cursor
from store.events import EventType
from store.feed import Feed
from store.logbook import Turn
from store.sessions import Sessions
from store.teller import Teller
from store.timelines import Timelines, feed_member, open_redis
from stream.wire.outlet import Outlet
from tests.e2e.people import Got
from tests.integration.conftest import settings_of
from tests.integration.edge_system import free_port
from tests.integration.wire_support import Running, connected, lines, running, true
from tests.unit.logs import EPOCH, Log

UID = 7
_BEGINNING = Cursor(EPOCH, (0, 0, 0))


@dataclass
class CountingArchive:
    """MongoDB's side of the archive, in memory. `away`: it is not there."""

    follows: dict[int, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    events: list[Kept] = field(default_factory=list)
    place: Cursor = _BEGINNING
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise ArchiveUnavailable("planted")

    async def following(self, _uid: int, place: Cursor) -> AsOf[dict[int, int], Cursor]:
        self._ask("following")
        return AsOf(self.follows, place, "planted")

    async def is_ended(self, _uid: int, sid: str) -> AsOf[bool, Cursor]:
        self._ask("is_ended")
        return AsOf(sid in self.ended, self.place, "planted")

    async def progress(self) -> Cursor:
        self._ask("progress")
        return self.place

    async def newest(
        self, _authors: Iterable[int], before: str | None, limit: int, place: Cursor
    ) -> AsOf[list[Kept], Cursor]:
        self._ask("newest")
        return AsOf([event for event in self.events if before is None or event.id < before][:limit], place, "planted")


@dataclass
class World:
    node: Running
    archive: CountingArchive
    redis: "Redis"

    def caught_up(self, ago: float = 0.0) -> None:
        """The log has just told the tail that there is nothing more."""
        self.node.node.caught_up_at = time.time() - ago

    async def warm(self, name: str, *members: bytes) -> None:
        """A list of the user's in Redis, which has been told of all that there is."""
        if not await self.redis.exists("timelines"):
            await Teller(self.redis, EPOCH, 3).claim({p: Turn(0, 1) for p in range(3)})
        timelines, key = Timelines(self.redis), f"{name}:{UID}"
        await timelines.fill(key, await timelines.lease(key), members)

    async def visit(self, sid: str, cursor: str | None = None) -> list[Got]:
        """What a stream begins with, up to its first snapshot, event or bye, or its hello if it has missed nothing."""
        async with connected(self.node.port) as socket:
            stream = socket.ask([*lines(UID, sid=sid), *([("last-event-id", cursor)] if cursor else [])])
            await socket.until(
                lambda: (
                    socket.events(stream, "snapshot", "post", "bye")
                    or socket.resumed(stream)
                    or stream in socket.client.ended
                )
            )
            await asyncio.sleep(0.05)
            if socket.client.headers[stream][b":status"] == b"401":
                return [Got("refused", None, json.loads(socket.client.received[stream]))]
            return socket.events(stream)

    async def posts(self, sid: str, cursor: str, *authors: int) -> list[str]:
        """The texts that a stream with this cursor is told of, when each of the authors has said one more thing."""
        async with connected(self.node.port) as socket:
            stream = socket.ask([*lines(UID, sid=sid), ("last-event-id", cursor)])
            await socket.until(lambda: socket.resumed(stream))
            for author in authors:
                self.node.publish((author, f"by {author}"))
            self.node.publish((UID, "the end"))
            await socket.until(lambda: "the end" in self._texts(socket.events(stream, "post")))
            return self._texts(socket.events(stream, "post"))[:-1]

    @staticmethod
    def _texts(got: list[Got]) -> list[str]:
        return [one.data["object"]["text"] for one in got]


@asynccontextmanager
async def world_on(settings: object, archive: CountingArchive) -> AsyncIterator[World]:
    async with open_redis(settings) as client:  # type: ignore[arg-type]
        kept = cast("Archive", archive)
        async with running((Feed(client, kept), kept, Sessions(client))) as node:
            yield World(node, archive, client)


@pytest.fixture
async def world(redis: Process, names: dict[str, object]) -> AsyncIterator[World]:
    async with world_on(settings_of(names, redis), CountingArchive({1: 1, 2: 1})) as made:
        await made.redis.flushall()
        yield made


async def test_g3_who_comes_back_within_the_ring_needs_neither_a_snapshot_nor_mongodb(world: World) -> None:
    sid = str(uuid4())
    await world.visit(sid)
    world.archive.away, cursor = True, world.node.ring.cursor()
    asked = len(world.archive.asked)
    assert await world.posts(sid, cursor, 1, 3, 2) == ["by 1", "by 2"]

    await world.redis.flushall()  # nor Redis's memory
    world.caught_up()
    assert await world.posts(sid, world.node.ring.cursor(), 1) == ["by 1"]
    assert len(world.archive.asked) == asked


async def test_who_comes_anew_needs_no_mongodb_where_redis_knows_them(world: World) -> None:
    events = [Log(3).append(1, id=n, text=f"{n}") for n in range(3)]
    await world.warm("following", b"1:1", b"10:1", b"9:1")
    await world.warm("feed", *[feed_member(event.id, event.value) for event in events])
    sid, world.archive.away = str(uuid4()), True
    await Sessions(world.redis).remember(sid, False, 2**31)
    got = await world.visit(sid)

    assert [one.event for one in got] == ["hello", "snapshot"]
    assert [item["id"] for item in got[1].data["items"]] == [event.id for event in reversed(events)]
    assert not world.archive.asked


@pytest.mark.parametrize("at", [None, "garbage"])
@pytest.mark.parametrize("warm", [True, False])
async def test_a_snapshot_is_of_32_kb_at_most_and_next_has_the_rest(world: World, warm: bool, at: str | None) -> None:
    log = Log(3)
    events = [log.append(1, id=n, text="😀" * 1000) for n in range(60)][::-1]
    if warm:
        await world.warm("following", b"1:1")
        await world.warm("feed", *[feed_member(event.id, event.value) for event in reversed(events)])
    world.archive.events = [Kept(event.id, 1, n, "post", event.value) for n, event in enumerate(events)]
    async with connected(world.node.port) as socket:
        stream = socket.ask([*lines(UID), *([("last-event-id", at)] if at else [])])
        *_, snapshot = await socket.live(stream)
        received = socket.client.received[stream]
    shown = [item["id"] for item in snapshot.data["items"]]
    rest = await world.node.node.feed.page(UID, snapshot.data["next"], 100)

    assert len(received[received.index(b"event: snapshot") :]) <= 32 * 1024
    assert (b"event: gap" in received) is (at is not None)
    assert shown == [event.id for event in events[: len(shown)]] and len(shown) >= 7
    assert [*shown, *rest.ids] == [event.id for event in events]


async def test_g3_an_event_that_the_snapshot_showed_is_not_sent_again_when_the_node_reads_it_later(
    world: World,
) -> None:
    old, shown = world.node.publish((1, "long ago"))[0], world.node.made(1, text="shown")
    await world.warm("following", b"1:1")
    await world.warm("feed", feed_member(old.id, old.value), feed_member(shown.id, shown.value))
    async with connected(world.node.port) as socket:
        stream = socket.ask(lines(UID))
        *_, snapshot = await socket.live(stream)
        (outlet,) = world.node.hub
        assert isinstance(outlet, Outlet)
        await true(lambda: outlet.task is None and outlet.place is None, "it has come to the head")
        assert not outlet.live and outlet.repeats == {shown.id}
        world.node.publish((2, "of nobody"))
        world.node.deliver(shown)
        world.node.publish((1, "new"))
        await socket.until(lambda: socket.events(stream, "post"))
        await true(lambda: outlet.live and not outlet.repeats, "it is live like the others")

    assert [item["id"] for item in snapshot.data["items"]] == [shown.id, old.id]
    assert World._texts(socket.events(stream, "post")) == ["new"]


async def test_what_was_shown_and_does_not_come_is_not_waited_for_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.lifecycle.AHEAD_AT_MOST", 0.5)
    shown = world.node.made(1, text="shown")
    await world.warm("following", b"1:1")
    await world.warm("feed", feed_member(shown.id, shown.value))
    async with connected(world.node.port) as socket:
        stream = socket.ask(lines(UID))
        await socket.live(stream)
        (outlet,) = world.node.hub
        assert isinstance(outlet, Outlet)
        await true(lambda: outlet.live and not outlet.repeats, "it is live like the others")

        assert [got.event for got in socket.events(stream)] == ["hello", "snapshot"]


async def test_a_warm_feed_counts_for_nothing_while_nobody_knows_how_far_it_goes(world: World) -> None:
    stale, newer = Log(3).append(1, id=1, text="stale"), Log(3).append(1, id=2, text="newer")
    await world.warm("following", b"1:1")
    await world.warm("feed", feed_member(stale.id, stale.value))
    await world.redis.hset("timelines", "generation", "another")  # some of it was missed
    world.archive.events = [Kept(newer.id, 1, 0, "post", newer.value)]
    got = await world.visit(str(uuid4()))

    assert [item["id"] for item in got[1].data["items"]] == [newer.id]


async def test_g3_what_changed_while_somebody_was_away_counts_from_the_moment_they_are_back(world: World) -> None:
    sid = str(uuid4())
    await world.visit(sid)
    cursor = world.node.ring.cursor()
    world.node.follow(UID, 4, 1)
    world.node.follow(UID, 1, 2, on=False)
    world.archive.away = True  # which would still say otherwise
    told = await world.posts(sid, cursor, 1, 4, 2)

    assert told == ["by 4", "by 2"]


async def test_g3_a_client_that_has_seen_more_of_the_log_elsewhere_is_not_met_with_what_this_node_remembers(
    world: World,
) -> None:
    sid = str(uuid4())
    await world.visit(sid)
    offsets = [*world.node.ring.next]
    offsets[UID % 3] += 1  # it has seen its own follow of 6, which this node has not
    await world.warm("following", b"1:1", b"2:1", b"6:1")
    async with connected(world.node.port) as socket:
        stream = socket.ask([*lines(UID, sid=sid), ("last-event-id", world.node.ring.cursor(offsets))])
        await socket.until(lambda: socket.resumed(stream))
        world.node.publish((5, "of nobody"), (6, "of one whom only Redis knows to be followed"))
        await socket.until(lambda: socket.events(stream, "post"))


async def test_g5_an_ended_session_is_not_let_in_whatever_redis_has_lost(world: World) -> None:
    sid = str(uuid4())
    await world.visit(sid)
    cursor = world.node.ring.cursor()

    async def told() -> str:
        last = (await world.visit(sid, cursor))[-1]
        return str(last.data["error"] if last.event == "refused" else last.data.get("reason"))

    await world.redis.flushall()
    world.archive.ended.add(sid)  # the log, and what stands on it, may know it before this node does
    for ago in (3600.0, 10.0):
        world.caught_up(ago)
        assert await told() == "signed-out"
        await world.redis.flushall()
    world.archive.ended.clear()
    world.archive.away = True
    world.caught_up(10)
    assert await told() == "unavailable"  # nobody can tell

    world.node.publish((UID, ""), type=EventType.LOGOUT, sid=sid)
    world.caught_up()
    assert await told() == "signed-out"
    await Sessions(world.redis).remember(sid, False, 2**31)  # as after a restart that lost the last second
    assert await told() == "signed-out"


async def test_g5_an_end_that_only_redis_knows_yet_is_heeded_at_once(world: World) -> None:
    sid = str(uuid4())
    await world.visit(sid)
    world.caught_up()
    await Sessions(world.redis).mark_ended(sid, int(time.time()) + 60)
    got = await world.visit(sid, world.node.ring.cursor())

    assert [(one.event, one.data["error"]) for one in got] == [("refused", "signed-out")]


async def test_g5_a_session_that_was_not_here_is_asked_for_where_it_is_kept(world: World) -> None:
    first, second = str(uuid4()), str(uuid4())
    await world.visit(first)
    world.caught_up()
    world.archive.ended.add(second)
    got = await world.visit(second, world.node.ring.cursor())

    assert [(one.event, one.data["error"]) for one in got] == [("refused", "signed-out")]


@pytest.mark.parametrize("how", ["gone", "deaf"])
async def test_with_redis_away_it_is_slower_and_not_wrong(names: dict[str, object], how: str) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    port = free_port()
    server = await asyncio.start_server(deaf, "127.0.0.1", port) if how == "deaf" else None
    archive = CountingArchive({1: 1})
    async with world_on(settings_of({**names, "redis_url": f"redis://127.0.0.1:{port}"}), archive) as world:
        sid, ended = str(uuid4()), str(uuid4())
        archive.ended.add(ended)
        async with connected(world.node.port) as socket:
            streams = [socket.ask(lines(UID, sid=session)) for session in (sid, ended)]
            live, refused = streams
            await socket.until(lambda: socket.events(live, "snapshot") and refused in socket.client.ended, seconds=40)
            assert socket.client.headers[refused][b":status"] == b"401"
            world.node.publish((1, "followed"), (2, "not followed"))
            await socket.until(lambda: socket.events(live, "post"))
    if server is not None:
        server.close()
