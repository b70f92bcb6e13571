"""`python -m store dead` and `rebuild`, on real servers, beside storekeepers that run."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from local.process import Process
from store.archive import Archive, open_archive
from store.broker import Publisher
from store.commands import obey, parser
from store.dead import FROM, REASON
from store.events import EventType, Record
from store.feed import Feed, FeedUnavailable
from store.settings import Settings
from store.timelines import open_redis
from store.topic import ensure_topics
from tests.integration.conftest import settings_of
from tests.integration.test_storekeeper import follows, keeping, kept, publish, record, until

READER, AUTHORS = 1, (2, 3, 4)


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)


@pytest.fixture
async def archive(settings: Settings) -> AsyncIterator[Archive]:
    async with open_archive(settings) as opened:
        yield opened


async def told(settings: Settings, *words: str) -> tuple[int, list[str]]:
    """The exit code of a command, and what it said."""
    said: list[str] = []
    return await obey(parser().parse_args(words), settings, said.append), said


async def test_dead_letters_are_driven_again_once_as_they_were_and_what_is_of_no_use_is_left(
    settings: Settings, archive: Archive
) -> None:
    good, deleted, bad = record(2, id=1, text="late"), record(2, id=2, text="gone"), Record(b"x", b"junk", ())
    await ensure_topics(settings)
    async with Publisher(settings, settings.kafka_dead_topic) as dead:
        for place, one in enumerate([good, deleted, bad, good]):  # the last twice, as after a crash
            marks = ((REASON, b"an older version did not know it"), (FROM, b"events/0/%d" % (place % 3)))
            await dead.publish([Record(one.key, one.value, (*one.headers, *marks))])
    await publish(settings, record(2, EventType.POST_DELETED, id=2))

    async with keeping(settings):
        await until(lambda: kept_types(archive, ["post-deleted"]))
        assert (await told(settings, "dead", "list"))[1][-1] == "3 dead letters, 0 of them driven again before"
        code, said = await told(settings, "dead", "redrive")
        await until(kept(archive, [2], 1))
        again = await told(settings, "dead", "redrive")

    assert code == 0
    assert [line.split("  ", 1)[1][:30] for line in said[:3]] == [
        "driven again",
        "left: the post was deleted mea",
        "left: it is still no event: ke",
    ]
    assert [line.split("  ", 1)[1][:4] for line in again[1][:-1]] == ["left", "left"]
    [event] = (await archive.newest([2], None, 10)).regardless("a test looks")
    assert (event.id.encode(), event.value) == (dict(good.headers)["id"], good.value)
    shown = (await told(settings, "dead", "show", "2"))[1]
    assert "value   b'junk'" in shown and "from    events/0/2" in shown
    assert (await told(settings, "dead", "show", "77"))[0] == 1


async def test_a_change_of_follows_that_is_older_than_what_the_archive_has_of_the_pair_is_left(
    settings: Settings, archive: Archive
) -> None:
    old = record(READER, EventType.FOLLOW, id=2, username="x", seq=3)
    new = record(READER, EventType.FOLLOW, id=3, username="x", seq=1)
    await ensure_topics(settings)
    await bury(settings, old, new)
    await publish(settings, record(READER, EventType.UNFOLLOW, id=2, username="x", seq=4))

    async with keeping(settings):
        await until(lambda: follows(archive, READER, {}))
        code, said = await told(settings, "dead", "redrive")
        await until(lambda: follows(archive, READER, {3: 1}))

    assert code == 0
    assert [line.split("  ", 1)[1] for line in said[:2]] == ["left: the pair has changed since: seq 4", "driven again"]


async def test_nothing_is_driven_again_by_the_word_of_an_archive_that_has_not_what_the_log_has(
    settings: Settings, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.dead_letters._KEPT_WITHIN", 0)
    post, follow = record(2, id=2, text="gone"), record(READER, EventType.FOLLOW, id=2, username="x", seq=3)
    await publish(settings, record(2, id=1, text="first"))
    async with keeping(settings):
        await until(kept(archive, [2], 1))
    await publish(settings, record(2, EventType.POST_DELETED, id=2))
    await publish(settings, record(READER, EventType.UNFOLLOW, id=2, username="x", seq=4))
    await bury(settings, post, follow)

    _, said = await told(settings, "dead", "redrive")

    assert [line.split("  ", 1)[1][:33] for line in said[:2]] == ["left: the archive is behind the l"] * 2


async def bury(settings: Settings, *records: Record) -> None:
    """As dead letters."""
    async with Publisher(settings, settings.kafka_dead_topic) as dead:
        for place, one in enumerate(records):
            marks = ((REASON, b"an older version did not know it"), (FROM, b"events/0/%d" % place))
            await dead.publish([Record(one.key, one.value, (*one.headers, *marks))])


async def kept_types(archive: Archive, types: list[str]) -> bool:
    epoch = (await archive.progress()).epoch
    parts = [await archive.between(epoch, [2], part, range(99), limit=99, max_bytes=2**16) for part in range(3)]
    return [one.type for found, _ in parts for one in found] == types


async def test_a_rebuilt_archive_is_what_the_log_says_and_no_wrong_page_is_served_meanwhile(
    settings: Settings, archive: Archive
) -> None:
    follows = [record(READER, EventType.FOLLOW, id=author, username="x", seq=1) for author in AUTHORS]
    posts = [record(author, id=author * 1000 + n, text="x") for n in range(10) for author in AUTHORS]
    taken_back = [record(author, EventType.POST_DELETED, id=author * 1000 + 3) for author in AUTHORS]
    before = {author * 1000 + n for n in range(10) for author in AUTHORS if n != 3}
    after = {author * 1000 + n for n in range(20, 30) for author in AUTHORS}

    async with open_redis(settings) as redis, keeping(settings), keeping(settings):
        feed = Feed(redis, archive)

        async def page() -> set[int]:
            found = [json.loads(item) for item in (await feed.page(READER, None, 100)).items]
            return {one["object"]["id"] for one in found if one["type"] == "post"}

        async def shows(expected: set[int]) -> bool:
            return await page() == expected

        await publish(settings, *follows, *posts, *taken_back)
        await until(lambda: shows(before))
        await archive._events.delete_many({"actor": 3})  # the damage
        await archive._follows.delete_many({"followee": 2})
        stop, right, refused = asyncio.Event(), 0, 0

        async def watch() -> None:
            nonlocal right, refused
            while not stop.is_set():
                try:
                    seen = await page()
                except FeedUnavailable:
                    refused += 1
                else:
                    # Until the rebuild begins the damage shows.
                    assert not refused or before <= seen <= before | after, "a page that is wrong"
                    right += bool(refused)
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        late = asyncio.create_task(publish(settings, *[record(n // 1000, id=n, text="y") for n in sorted(after)]))
        code, said = await told(settings, "rebuild", "archive")
        await late
        await until(lambda: shows(before | after))
        stop.set()
        await watching

    assert (code, said[-1][-20:]) == (0, "the archive is whole")
    assert right and refused


async def test_a_rebuild_that_stopped_halfway_is_gone_on_with(
    settings: Settings, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.rebuild._OTHERS_END", 0.1)
    await publish(settings, record(2, id=1, text="x"))
    async with keeping(settings):
        await until(kept(archive, [2], 1))
        epoch = (await archive.progress()).epoch
        await archive.log(lambda logbook: logbook.start_emptying(epoch, "somebody", {0: 1, 1: 1, 2: 1}))
        await publish(settings, record(2, id=2, text="y"))

        code, said = await told(settings, "rebuild", "archive")
        await until(kept(archive, [2], 2))

    assert code == 0
    assert "another rebuild has stopped" in said[0]


async def test_what_only_the_archive_has_since_the_topic_was_made_anew_is_not_given_to_a_rebuild(
    settings: Settings, archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    await publish(settings, record(2, id=1, text="x"))
    async with keeping(settings):
        await until(kept(archive, [2], 1))
    old = (await archive.progress()).epoch
    await lose_topic(settings)
    await publish(settings, record(2, id=2, text="y"))

    refused_before = await told(settings, "rebuild", "archive")
    untouched = (await archive.progress()).epoch
    async with keeping(settings):
        await until(kept(archive, [2], 2))
        refused = await told(settings, "rebuild", "archive")
        await publish(settings, record(2, id=3, text="z"))
        await until(kept(archive, [2], 3))

    assert [(code, "has events of another topic" in said[-1]) for code, said in (refused_before, refused)] == [
        (1, True)
    ] * 2
    assert untouched == old, "whoever names another topic by mistake has done nothing"
    [told_of] = [one.getMessage() for one in caplog.records if one.levelname == "ERROR" and one.name == "store.turns"]
    assert old in told_of and "cannot be rebuilt" in told_of


async def lose_topic(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    await admin.start()
    await admin.delete_topics([settings.kafka_topic])
    while settings.kafka_topic in await admin.list_topics():
        await asyncio.sleep(0.05)
    await admin.close()


async def test_a_rebuilt_cache_has_nothing_of_the_old_and_is_warm(settings: Settings, archive: Archive) -> None:
    async with open_redis(settings) as redis, keeping(settings):
        await publish(settings, record(2, id=1, text="x"))
        feed = Feed(redis, archive)
        await until(kept(archive, [2], 1))
        await until(lambda: warm(feed, redis))
        await redis.zadd("feed:2", {"f" * 36 + ' {"type":"lie"}': 0})

        code, said = await told(settings, "rebuild", "cache")

        assert (code, said[-1][-6:]) == (0, ": done")
        assert [json.loads(item)["type"] for item in (await feed.page(2, None, 10)).items] == ["post"]
        assert await redis.zcard("feed:2") == 2


async def warm(feed: Feed, redis: "Redis") -> bool:
    await feed.page(2, None, 10)
    return bool(await redis.zcard("feed:2") == 2)
