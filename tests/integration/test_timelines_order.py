"""Redis, for real, and everything that can come between two commands: what a reader fills and keeps is right in the end."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from redis.asyncio import Redis

from local.process import Process
from store import teller
from store.archive_reads import Kept
from store.as_of import AsOf
from store.cursor import Cursor
from store.events import TAKES_BACK, Arrival, EventType, decode
from store.feed import Feed
from store.logbook import Turn
from store.teller import Teller
from store.timelines import Timelines, Unknown
from store.topic import Topic
from store.warming import Warming
from tests.integration.interleaving import Schedule, SteppedRedis, stepped_redis
from tests.unit.logs import EPOCH, Log

PEOPLE = (1, 2, 3, 4)
PARTITIONS = 2
_SWITCH = 0.3


@dataclass
class ModelArchive:
    """What MongoDB would have. Every call is one of the schedule's."""

    schedule: Schedule
    at: list[int] = field(default_factory=lambda: [0] * PARTITIONS)
    events: dict[str, Arrival] = field(default_factory=dict)
    deleted: set[object] = field(default_factory=set)
    follows: dict[tuple[int, int], tuple[int, bool]] = field(default_factory=dict)

    async def progress(self) -> Cursor:
        await self.schedule.call()
        return Cursor(EPOCH, tuple(self.at))

    async def following(self, uid: int, place: Cursor) -> AsOf[dict[int, int], Cursor]:
        await self.schedule.call()
        return AsOf({b: seq for (a, b), (seq, on) in self.follows.items() if a == uid and on}, place, "the model")

    async def followers(self, uid: int, limit: int) -> list[int]:
        await self.schedule.call()
        return [a for (a, b), (_, on) in self.follows.items() if b == uid and on][:limit]

    async def newest(
        self, authors: Iterable[int], _before: str | None, _limit: int, place: Cursor
    ) -> AsOf[list[Kept], Cursor]:
        await self.schedule.call()
        return AsOf(self.kept(authors), place, "the model")

    def kept(self, authors: Iterable[int]) -> list[Kept]:
        wanted = set(authors)
        found = [a for a in self.events.values() if a.actor in wanted and a.type not in TAKES_BACK]
        return [
            Kept(a.id, a.partition, a.offset, a.type, a.value) for a in sorted(found, key=lambda a: a.id, reverse=True)
        ]

    async def still_there(self, ids: Iterable[str]) -> set[str]:
        await self.schedule.call()
        return {one for one in ids if one in self.events}

    async def add(self, batch: list[Arrival]) -> None:
        await self.schedule.call()
        for arrival in batch:
            post = decode(arrival.value)["object"].get("id")  # type: ignore[attr-defined]
            if arrival.type is EventType.POST_DELETED:
                self.deleted.add(post)
                self.events = {i: a for i, a in self.events.items() if _post(a) != post}
            if arrival.type is not EventType.POST or post not in self.deleted:
                self.events.setdefault(arrival.id, arrival)

    async def change_follows(self, batch: list[Arrival]) -> None:
        await self.schedule.call()
        for change in (arrival.change for arrival in batch if arrival.change):
            pair = (change.follower, change.followee)
            if self.follows.get(pair, (0, False))[0] < change.seq:
                self.follows[pair] = (change.seq, change.on)


def _post(arrival: Arrival) -> object:
    return decode(arrival.value)["object"].get("id") if arrival.type is EventType.POST else None  # type: ignore[attr-defined]


class ModelTurns:
    def __init__(self, partition: int) -> None:
        self.mine = {partition: Turn(0, 1)}

    async def is_whole(self) -> bool:
        return True

    async def are_ours(self, partitions: Iterable[int]) -> list[int]:
        return list(partitions)


async def member(log: Log, partition: int, archive: ModelArchive, warming: Warming, sizes: Iterator[int]) -> None:
    """A storekeeper's work on one partition, batch by batch."""
    turns: Any = ModelTurns(partition)
    records = list(log.records[partition])
    while records:
        size = next(sizes)
        batch, records = records[:size], records[size:]
        start, end = batch[0].offset, batch[-1].offset + 1
        await archive.add(batch)
        await archive.change_follows(batch)
        await warming.tell(batch, {partition: (start, end)}, turns)
        await archive.schedule.call()
        archive.at[partition] = turns.mine[partition].next = end


async def reader(feed: Feed, uids: list[int]) -> None:
    for uid in uids:
        await feed.page(uid, None, 50)


def acted(random: Random, log: Log, count: int) -> None:
    """So much that people may do, in an order that is possible."""
    seqs: dict[tuple[int, int], int] = {}
    posts: list[tuple[int, int]] = []
    for number in range(1, count + 1):
        author, other = random.sample(PEOPLE, 2)
        deed = random.choice(("post", "delete", "turn", "turn"))
        if deed == "delete" and posts:
            by, post = posts.pop(random.randrange(len(posts)))
            log.append(by, EventType.POST_DELETED, id=post)
        elif deed == "turn":
            seq = seqs[author, other] = seqs.get((author, other), 0) + 1
            log.follow(author, other, seq, on=seq % 2 == 1)
        else:
            log.append(author, id=number, text="x")
            posts.append((author, number))


@pytest.fixture(scope="module")
def at_once() -> Iterator[None]:
    """Each command takes one list, so that a few people are as many commands as thousands are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teller, "_AT_ONCE", 2)
        yield


@pytest.mark.timeout(300)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 12))
@examples(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)
async def test_what_readers_fill_between_any_two_commands_of_the_storekeepers_is_right_in_the_end(
    redis: Process, at_once: None, seed: int, count: int
) -> None:
    random, schedule = Random(seed), Schedule()
    archive: Any = ModelArchive(schedule)
    log = Log(PARTITIONS)
    acted(random, log, count)
    async with stepped_redis(redis.env["REDIS_URL"], schedule) as client:
        feed = Feed(client, archive)
        members = [Warming(client, archive, Topic("x", PARTITIONS, EPOCH), _patiently) for _ in range(PARTITIONS)]
        for partition, warming in enumerate(members):
            await warming.look_after(ModelTurns(partition))  # type: ignore[arg-type]
        for uid in PEOPLE:
            await feed.page(uid, None, 50)
        sizes = iter(lambda: random.randint(1, 4), 0)

        await schedule.run(
            {f"member {p}": lambda p=p: member(log, p, archive, members[p], sizes) for p in range(PARTITIONS)}
            | {f"reader {n}": lambda: reader(feed, random.choices(PEOPLE, k=6)) for n in range(2)},
            _mostly_the_last(random),
        )

        assert await warm(client) == await true(archive, await warm(client))


def _mostly_the_last(random: Random) -> Callable[[list[str]], str]:
    """What matters is done by several calls of one between two of another."""
    last = ""

    def choose(names: list[str]) -> str:
        nonlocal last
        if last not in names or random.random() < _SWITCH:
            last = random.choice(names)
        return last

    return choose


async def _patiently(step: Any) -> Any:
    return await step()


async def warm(client: SteppedRedis) -> dict[str, object]:
    """Every list that would be believed."""
    timelines, found = Timelines(client), dict[str, object]()
    for uid in PEOPLE:
        for name, ask in (("following", timelines.following), ("feed", timelines.feed)):
            try:
                found[f"{name}:{uid}"] = (await ask(uid)).regardless("the test compares with the end")
            except Unknown:
                continue
    followers = (await timelines.followers(PEOPLE)).regardless("the test compares with the end")
    return found | {f"followers:{uid}": sorted(them) for uid, them in followers.items()}


async def true(archive: ModelArchive, lists: Iterable[str]) -> dict[str, object]:
    """The same lists as the archive has them."""
    truth: dict[str, object] = {}
    for uid in PEOPLE:
        following = (await archive.following(uid, Cursor(EPOCH, tuple(archive.at)))).regardless("it is the model")
        truth[f"following:{uid}"] = following
        truth[f"followers:{uid}"] = sorted(await archive.followers(uid, 100))
        truth[f"feed:{uid}"] = [(kept.id, kept.value) for kept in archive.kept([uid, *following])]
    return {name: truth[name] for name in lists}


@pytest.mark.parametrize("renewed", [False, True])
async def test_a_brief_has_a_whole_list_or_none_whatever_comes_between_two_of_its_commands(
    redis: Process, renewed: bool
) -> None:
    schedule, log = Schedule(), Log(PARTITIONS)
    archive: Any = ModelArchive(
        schedule, events={one.id: one for one in (log.append(1, id=n, text="x") for n in (1, 2))}
    )
    found = []
    async with stepped_redis(redis.env["REDIS_URL"], schedule) as client:
        feed, hand = Feed(client, archive), Teller(client, EPOCH, PARTITIONS)
        await hand.claim({0: Turn(0, 1), 1: Turn(0, 1)})

        async def comes() -> None:
            found.append(await feed.brief(1, "sid", following=True, feed=50))

        async def changes() -> None:
            await hand.forget(["following:1", "feed:1"])
            if renewed:
                await Timelines(client).renew()
                await feed.page(1, None, 50)

        for calls in range(12):  # more than a brief has
            await feed.page(1, None, 50)
            await schedule.run({"comes": comes, "changes": changes}, _after(calls))

    whole = [(kept.id, kept.value) for kept in archive.kept([1])]
    feeds = [None if brief.feed is None else brief.feed.regardless("a test looks") for brief in found]
    assert all(feed in (None, whole) for feed in feeds)
    assert feeds[-1] == whole
    assert feeds[0] == (whole if renewed else None)


def _after(calls: int) -> Callable[[list[str]], str]:
    """The one who comes has so many calls, then the change has all of its own."""

    def choose(names: list[str]) -> str:
        nonlocal calls
        name = "comes" if "comes" in names and (calls > 0 or "changes" not in names) else "changes"
        calls -= name == "comes"
        return name

    return choose


async def test_no_list_is_forgotten_before_what_it_is_made_from(redis: Process, at_once: None) -> None:
    forgotten: list[str] = []

    class Noting(Redis):
        async def unlink(self, *names: Any) -> Any:
            forgotten.append(names[0].partition(":")[0])

    keys = {f"{kind}:{uid}" for kind in ("feed", "followers", "following") for uid in range(5)}
    async with Noting.from_url(redis.env["REDIS_URL"]) as client:
        await Teller(client, EPOCH, PARTITIONS).forget(keys)

    assert forgotten == ["following"] * 5 + ["followers"] * 5 + ["feed"] * 5
