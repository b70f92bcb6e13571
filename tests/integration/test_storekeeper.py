"""The storekeeper between real servers: everything is kept once, whatever it was given and however often it was stopped."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from local.process import Process
from store.archive import Archive, ArchiveUnavailable, open_archive
from store.broker import Publisher, open_reader
from store.events import EventType, Person, Record, encode, new_event, record_of
from store.feed import Feed, FeedUnavailable
from store.meters import Meters
from store.process import cancel
from store.settings import Settings
from store.storekeeper import Storekeeper
from store.timelines import open_redis
from store.topic import WrongTopic, ensure_topics
from store.turns import Turns
from tests.integration.conftest import settings_of

METERS = Meters()


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)


@pytest.fixture
async def archive(settings: Settings) -> AsyncIterator[Archive]:
    async with open_archive(settings) as opened:
        yield opened


@asynccontextmanager
async def keeping(settings: Settings) -> AsyncIterator[Storekeeper]:
    keeper = Storekeeper(settings, METERS)
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        await cancel(task)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Unavailable is not yet: an archive that is not whole is not read."""
    async with asyncio.timeout(seconds):
        while True:
            with suppress(ArchiveUnavailable, FeedUnavailable):
                if await condition():
                    return
            await asyncio.sleep(0.05)


async def publish(settings: Settings, *records: Record) -> None:
    await ensure_topics(settings)
    async with Publisher(settings) as publisher:
        await publisher.publish(records)


def record(author: int, type: EventType = EventType.POST, sid: str | None = None, **object: object) -> Record:
    event = new_event(type, Person(author, f"user{author}"), object)
    return record_of(event.id, type, author, encode(event), sid)


def kept(archive: Archive, authors: list[int], count: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return len((await archive.newest(authors, None, 100)).regardless("a test looks")) == count

    return check


async def test_a_record_that_is_not_ours_goes_to_the_dead_letters_and_the_work_goes_on(
    settings: Settings, archive: Archive
) -> None:
    good = [record(1, id=n, text="x") for n in range(3)]
    lying = Record(b"2", good[0].value, good[0].headers)
    bad = [
        Record(b"x", b"junk", ()),
        Record(b"1", b'{"id":1}', good[0].headers),
        lying,
        Record(b"", b"", ()),
        Record(b"1", good[0].value, (*good[0].headers, ("type", None))),
        Record(b"1" * 4301, b"x" * 1_000_000, ()),
    ]
    await publish(settings, good[0], bad[0], good[1], *bad[1:], good[2])

    async with keeping(settings):
        await until(kept(archive, [1], 3))

    reader = open_reader(settings)
    await reader.start()
    dead = TopicPartition(settings.kafka_dead_topic, 0)
    reader.assign([dead])
    await reader.seek_to_beginning(dead)
    async with asyncio.timeout(20):
        found = [await reader.getone() for _ in bad]
    await reader.stop()
    assert sorted(one.value or b"" for one in found) == sorted(one.value[:400_000] for one in bad)
    assert all(dict(one.headers)["dead-reason"] and dict(one.headers)["dead-from"] for one in found)


async def test_a_batch_done_twice_has_the_effect_of_one(settings: Settings, archive: Archive) -> None:
    records = [
        record(1, EventType.FOLLOW, id=2, username="x", seq=1),
        *[record(2, id=n, text="x") for n in range(20)],
        record(2, EventType.POST_DELETED, id=3),
        record(1, EventType.UNFOLLOW, id=2, username="x", seq=2),
        record(1, EventType.FOLLOW, id=2, username="x", seq=3),
    ]
    await publish(settings, *records)
    async with keeping(settings):
        await until(kept(archive, [2], 19))
        await until(lambda: follows(archive, 1, {2: 3}))

    await archive._logbook._collection.delete_many({})  # as if it had been killed before the progress was recorded
    await publish(settings, record(2, id=99, text="last"))
    async with keeping(settings):
        await until(kept(archive, [2], 20))

    posts = [
        json.loads(event.value)["object"]["id"]
        for event in (await archive.newest([2], None, 100)).regardless("a test looks")
    ]
    assert posts == [99, *[n for n in range(19, -1, -1) if n != 3]]
    assert (await archive.following(1)).regardless("a test looks") == {2: 3}


async def follows(archive: Archive, uid: int, expected: dict[int, int]) -> bool:
    return (await archive.following(uid)).regardless("a test looks") == expected


async def test_a_warm_feed_shows_what_a_cold_one_does(settings: Settings, archive: Archive) -> None:
    async with open_redis(settings) as redis, keeping(settings):
        feed = Feed(redis, archive)

        async def shows(*texts: str) -> bool:
            page = await feed.page(1, None, 50)
            return [json.loads(item)["object"].get("text") for item in page.items if b'"post"' in item] == list(texts)

        await until(shows)
        await publish(settings, record(1, EventType.FOLLOW, id=2, username="x", seq=1), record(2, id=1, text="one"))
        await until(lambda: shows("one"))
        await publish(settings, record(2, id=2, text="two"))
        await until(lambda: shows("two", "one"))
        await publish(settings, record(2, EventType.POST_DELETED, id=1))
        await until(lambda: shows("two"))
        await redis.flushall()
        await until(lambda: shows("two"))
        await publish(settings, record(1, EventType.UNFOLLOW, id=2, username="x", seq=2))
        await until(shows)


async def test_two_members_share_the_work_and_one_takes_over_for_the_other(
    settings: Settings, archive: Archive
) -> None:
    await publish(settings, *[record(author, id=1, text="x") for author in range(1, 31)])
    async with keeping(settings):
        async with keeping(settings):
            await until(kept(archive, list(range(1, 31)), 30))
        await publish(settings, *[record(author, id=2, text="x") for author in range(1, 31)])
        await until(kept(archive, list(range(1, 31)), 60))


async def test_with_redis_gone_the_archive_goes_on_and_what_was_missed_is_not_served_stale(
    settings: Settings, archive: Archive, redis: Process
) -> None:
    async with open_redis(settings) as client, keeping(settings):
        feed = Feed(client, archive)
        await publish(settings, record(2, id=1, text="one"))
        await until(kept(archive, [2], 1))
        assert len((await feed.page(2, None, 50)).items) == 1  # and is warm from now on

        await redis.stop()
        await publish(settings, record(2, id=2, text="two"))
        await until(kept(archive, [2], 2))
        await redis.start()
        await publish(settings, record(2, id=3, text="three"))
        await until(kept(archive, [2], 3))

        async def whole() -> bool:
            return len((await feed.page(2, None, 50)).items) == 3

        await until(whole)


async def test_partitions_that_were_added_are_kept_too_once_the_settings_say_so(
    settings: Settings, archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    authors = list(range(1, 31))
    await publish(settings, *[record(author, id=1, text="x") for author in authors])
    async with keeping(settings):
        await until(kept(archive, authors, 30))
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    await admin.start()
    await admin.create_partitions({settings.kafka_topic: NewPartitions(5)})
    await admin.close()

    with pytest.raises(WrongTopic, match="set it to what the topic has"):
        await ensure_topics(settings)
    more = settings.model_copy(update={"kafka_partitions": 5})
    await publish(more, *[record(author, id=2, text="y") for author in authors])
    async with keeping(more):
        await until(lambda: has_come_to(archive, 60))

    assert len((await archive.newest(authors, None, 100)).regardless("a test looks")) == 60
    offsets = (await archive.progress()).offsets
    assert len(offsets) == 5 and all(offsets[3:])
    assert not [one for one in caplog.records if one.levelname == "ERROR" and one.name.startswith("store.")]


async def has_come_to(archive: Archive, records: int) -> bool:
    return sum((await archive.progress()).offsets) == records


async def test_whatever_fails_while_partitions_are_taken_is_told_and_tried_again(
    settings: Settings, archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    really, failures = Turns._take, iter([RuntimeError("a fault of ours")])

    async def take(self: Turns, partitions: list[int]) -> None:
        for failure in failures:
            raise failure
        await really(self, partitions)

    monkeypatch.setattr(Turns, "_take", take)
    await publish(settings, record(1, id=1, text="x"))
    async with keeping(settings):
        await until(kept(archive, [1], 1))

    assert "taking our partitions failed" in [one.message for one in caplog.records if one.levelname == "ERROR"]


async def test_an_end_of_a_session_is_kept(settings: Settings, archive: Archive) -> None:
    await publish(settings, record(5, EventType.LOGOUT, sid="a-session"))
    async with keeping(settings):
        await until(lambda: is_ended(archive, 5, "a-session"))


async def is_ended(archive: Archive, uid: int, sid: str) -> bool:
    return (await archive.is_ended(uid, sid)).regardless("a test looks")
