"""Records that stand twice in the log, the second time behind what takes them back: pages, archive and streams agree. G3."""

from store.archive import open_archive
from store.feed import Feed
from store.settings import Settings
from store.timelines import open_redis
from tests.faults.bare import Reader
from tests.faults.beside import Beside
from tests.integration.test_storekeeper import until


async def test_g3_a_post_that_stands_again_behind_its_deletion_comes_back_nowhere(beside: Beside) -> None:
    author, early, warm, cold, late = (beside.uid() for _ in range(5))
    for uid in (early, warm, cold, late):
        await beside.follow(uid, [author])
    settings = Settings.model_validate({name.lower(): value for name, value in beside.system.env.items()})
    post, deletion, stays = beside.posted(author, 7), beside.deleted(author, 7), beside.posted(author, 8)
    async with (
        open_archive(settings) as archive,
        open_redis(settings) as redis,
        beside.node() as node,
    ):
        feed = Feed(redis, archive)

        async def has_come() -> bool:
            return stays[0] in (await feed.page(warm, None, 50)).ids

        async def is_kept() -> bool:
            return (await archive.is_taken_back(author, 7)).regardless("a deletion is final")

        watching = Reader(lambda: beside.door(node.address, early))
        async with beside.reading(watching):
            await feed.page(warm, None, 50)  # it is warm from now on
            await beside.publisher.publish([post[1], deletion[1]])
            await watching.until(lambda r: bool(r.events("post-deleted")))
            await until(is_kept)  # else the next one's snapshot may be from before the post, and both come live
            after = Reader(lambda: beside.door(node.address, late))
            async with beside.reading(after):
                for record in (deletion[1], post[1], deletion[1], post[1], stays[1]):
                    await beside.publisher.publish([record])
                await watching.until(lambda r: stays[0] in r.posts())
                await after.until(lambda r: stays[0] in r.posts())
            await until(has_come)

        assert watching.posts() == [post[0], stays[0]]
        assert len(watching.events("post-deleted")) == 1
        assert after.posts() == [stays[0]]
        for uid in (warm, cold):
            assert post[0] not in (await feed.page(uid, None, 50)).ids
        assert [kept.id for kept in (await archive.newest([author], None, 50)).regardless("a test looks")] == [stays[0]]
