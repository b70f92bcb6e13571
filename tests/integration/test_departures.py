"""What lasts of an account that is gone: nothing but the word of it, in whatever order members and partitions come."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from local.process import Process
from store.archive import Archive, open_archive
from store.events import Arrival, EventType, FollowChange
from store.feed import Feed
from store.sessions import Sessions
from store.settings import Settings
from store.timelines import MOST_FOLLOWERS, open_redis
from tests.integration.conftest import settings_of
from tests.integration.test_storekeeper import keeping, kept, publish, record, until
from tests.unit.logs import EPOCH, Log


@pytest.fixture
def settings(kafka: Process, mongo: Process, redis: Process, names: dict[str, object]) -> Settings:
    return settings_of({**names, "kafka_partitions": 3}, kafka, mongo, redis)


@pytest.fixture
async def archive(settings: Settings) -> AsyncIterator[Archive]:
    async with open_archive(settings) as opened:
        await opened.ensure_indexes()
        await opened.log(lambda logbook: logbook.begin(EPOCH, {0: 0}, {0: 0}))
        yield opened


async def types(archive: Archive, authors: list[int]) -> list[str]:
    parts = [await archive.between(EPOCH, authors, part, range(99), limit=99, max_bytes=2**16) for part in range(3)]
    return [event.type for found, _ in parts for event in found]


async def leaves(archive: Archive, gone: Arrival) -> None:
    """What a storekeeper does for it."""
    await archive.end_accounts([gone.actor])
    await archive.add(EPOCH, [gone])


async def test_all_that_a_user_did_goes_and_those_who_followed_are_still_told(archive: Archive) -> None:
    log = Log(1)
    posts = [log.append(3, id=n, text="x") for n in range(3)]
    other = log.append(4, id=9, text="stays")
    await archive.add(EPOCH, [*posts, other, log.append(3, EventType.POST_DELETED, id=1)])
    await archive.change_follows([FollowChange(3, 4, 1, True), FollowChange(4, 3, 1, True)])
    gone = log.append(3, EventType.ACCOUNT_DELETED)
    for _ in range(2):  # as after a crash
        await leaves(archive, gone)

    left = (await archive.newest([3, 4], None, 10)).regardless("a test looks")
    assert left == (await archive.newest([4], None, 10)).regardless("a test looks")
    assert await types(archive, [3]) == ["account-deleted"]
    assert (await archive.following(3)).regardless("a test looks") == {}
    assert await archive.followers(4, 10) == []
    assert (await archive.following(4)).regardless("a test looks") == {
        3: 1
    }  # so that a stream of 4 that comes back is told
    assert (await archive.is_ended(3, "any session")).regardless("a test looks")
    assert not (await archive.is_ended(4, "any session")).regardless("a test looks")
    assert all("until" in row for row in await archive._follows.find({"followee": 3}).to_list(9))
    assert ["until" in row for row in await archive._events.find({"actor": 3}).to_list(9)] == [True]


async def test_what_another_member_adds_late_goes_again(archive: Archive) -> None:
    log = Log(1)
    post, gone = log.append(3, id=1, text="x"), log.append(3, EventType.ACCOUNT_DELETED)
    await leaves(archive, gone)
    await archive.add(EPOCH, [post])  # a member that had stood still
    await archive.change_follows(
        [FollowChange(5, 3, 1, True), FollowChange(3, 5, 1, True), FollowChange(5, 6, 1, True)]
    )

    assert await types(archive, [3]) == ["account-deleted"]
    assert (await archive.following(3)).regardless("a test looks") == {}
    marked = {row["followee"]: "until" in row for row in await archive._follows.find({"follower": 5}).to_list(9)}
    assert marked == {3: True, 6: False}


@pytest.mark.parametrize("most", [MOST_FOLLOWERS, 1])
async def test_warm_feeds_lose_what_the_user_did_however_many_followed(
    settings: Settings, archive: Archive, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    async with open_redis(settings) as redis, keeping(settings):
        feed = Feed(redis, archive)

        async def shows(uid: int, *texts: str) -> bool:
            page = await feed.page(uid, None, 50)
            posts = [json.loads(item) for item in page.items if b'"post"' in item]
            return [post["object"]["text"] for post in posts] == list(texts)

        readers = (11, 12, 13)
        for reader in readers:
            await publish(settings, record(reader, EventType.FOLLOW, id=2, username="x", seq=1))
            await publish(settings, record(reader, EventType.FOLLOW, id=3, username="y", seq=1))
        await publish(settings, record(2, id=1, text="gone"), record(3, id=2, text="stays"))
        for reader in readers:
            await until(lambda reader=reader: shows(reader, "stays", "gone"))  # type: ignore[misc]
        monkeypatch.setattr("store.warming.MOST_FOLLOWERS", most)
        await publish(settings, record(2, EventType.ACCOUNT_DELETED))
        for reader in readers:
            await until(lambda reader=reader: shows(reader, "stays"))  # type: ignore[misc]

        await until(lambda: ended_everywhere(Sessions(redis)))
        await until(kept(archive, [2], 0))


async def ended_everywhere(sessions: Sessions) -> bool:
    return await sessions.is_ended(2, "whatever") is True


async def test_a_session_is_over_with_its_account_whatever_was_known_of_it(settings: Settings) -> None:
    async with open_redis(settings) as redis:
        sessions, until = Sessions(redis), int(asyncio.get_running_loop().time()) + 2**31
        await sessions.remember("sid-of-7", False, until)
        assert await sessions.is_ended(7, "sid-of-7") is False
        await sessions.mark_all_ended(7, until)

        assert await sessions.is_ended(7, "sid-of-7") is True
        assert await sessions.is_ended(8, "sid-of-8") is None
